"""Which agents come close to their limit, by registry or bucket, and their sources as they stand there now."""

import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from tdev_operators.core.agents.ladder import KB
from tdev_operators.core.agents.ports import AgentPorts
from tdev_operators.core.agents.undo_store import sha256
from tdev_operators.core.errors import AccessDeniedError, TdevError
from tdev_operators.core.ports import ObjectInfo
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql


@dataclass(frozen=True, slots=True)
class Registered:
    """An agent of the registry; `seen` is when its row was last changed, `code_hash` the newest code it knows of.

    `taken_back_by` is the run that took our last change back, where nobody changed the agent since.
    """

    id: str
    label: str
    key: str
    size_kb: float | None
    seen: str
    code_hash: str | None
    taken_back_by: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An agent above `near_limit_kb`. `refusal` says why it cannot be looked at at all.

    `untried` is for what says nothing about the agent: our own eyes failed.
    """

    agent: Registered
    size_bytes: int
    source: bytes = b""
    etag: str = ""
    refusal: str = ""
    untried: bool = False


def registered(ports: AgentPorts, settings: Settings) -> list[Registered]:
    """Return all agents of the registry.

    Raises:
        AccessDeniedError: row security hides some; and what `Database.rows` raises.
    """
    rows = ports.system.database.rows(load_sql("agents/registered"))
    if rows and rows[0]["rows_hidden"]:
        raise AccessDeniedError("Row security hides rows of agents; give our role BYPASSRLS.")
    pattern = settings.health.agents.source_key
    return [
        Registered(
            id=row["id"],
            label=f"{row['name']} {row['version']}",
            key=pattern.replace("{version}", row["version"]).replace("{name}", row["name"]),
            size_kb=row["size_kb"],
            seen=row["updated_at"],
            code_hash=row["code_hash"],
            taken_back_by=row["taken_back_by"] or "",
        )
        for row in rows
    ]


def candidates(ports: AgentPorts, settings: Settings, agents: list[Registered]) -> Iterator[Candidate]:
    """Yield the agents above the limit with their sources; the larger of registry and bucket counts.

    Raises:
        TdevError: the bucket cannot be listed. What cannot be read is yielded with its refusal.
    """
    bucket, near = settings.buckets.agents, settings.agents.near_limit_kb
    stored = {info.key: info for info in ports.store.list(bucket)}
    wanted: dict[str, Registered] = {}
    for agent in agents:
        info = stored.get(agent.key)
        size = max(int((agent.size_kb or 0.0) * KB), info.size_bytes if info else 0)
        if size <= near * KB:
            continue
        if agent.taken_back_by:  # a person did not want it: the next version of the agent is tried again
            yield Candidate(agent, size, refusal="its optimisation was taken back by hand")
        elif info is None:
            yield Candidate(agent, size, refusal="its source is not in the bucket")
        elif info.size_bytes > settings.health.agents.parse_max_kb * KB:
            yield Candidate(agent, size, refusal=f"its source is above {settings.health.agents.parse_max_kb} KB")
        else:
            wanted[agent.key] = agent
    for info, body in ports.store.read_many(bucket, [stored[key] for key in wanted]):
        yield _read(wanted[info.key], info, body)


def _read(agent: Registered, info: ObjectInfo, body: bytes | TdevError) -> Candidate:
    if isinstance(body, TdevError):
        return Candidate(agent, info.size_bytes, refusal=f"it cannot be read: {body}", untried=True)
    if agent.code_hash is None:
        return Candidate(agent, info.size_bytes, refusal="the registry knows no code of it", untried=True)
    if why := _odd_text(body):
        return Candidate(agent, info.size_bytes, refusal=why)
    if sha256(body) != agent.code_hash:
        return Candidate(agent, info.size_bytes, refusal="the registry knows another code of it than what is stored")
    return Candidate(agent, info.size_bytes, body, info.etag)


def _odd_text(body: bytes) -> str:
    """Return why these bytes are not simply the text that is proven: what is written back must be read as that."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(body).readline)
        text = body.decode()
    except (SyntaxError, UnicodeDecodeError):
        return "its source is no UTF-8"
    if encoding != "utf-8":
        return f"its source says that it is {encoding}, not plain UTF-8"
    return "its source has another line end than a plain one" if "\r" in text else ""
