"""What is to be known of a stalled evolution before anything is touched: looked at side by side, kept as evidence.

A part that cannot be looked at is told as such and stops no other.
"""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tdev_operators.core.errors import GarbledAnswerError, InputError, TdevError
from tdev_operators.core.evolution.progress import read_progress
from tdev_operators.core.evolution.recovery.checkpoints import look_at_checkpoints
from tdev_operators.core.evolution.recovery.leases import lives, owner_of
from tdev_operators.core.evolution.recovery.ports import EvolutionPorts
from tdev_operators.core.health.log_lines import log_files, matching_lines
from tdev_operators.core.health.on_hosts import output_of
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.masking import masked
from tdev_operators.core.memory.consumers import pid_of, processes_of
from tdev_operators.core.memory.meminfo import MemInfo
from tdev_operators.core.ports import Host
from tdev_operators.core.recovery.services import is_alive
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.settings import HostSettings, Settings
from tdev_operators.core.sql import load_sql

GENERATION, API, LOCKS, CHECKPOINTS = "generation", "api", "locks", "checkpoints"
STATUS_PATH, CURRENT_PATH = "/api/evolution/status", "/generation/current"
_OK = 200
_AT_ONCE = 8
_CPU_SAMPLE_SECONDS = 0.5
_PROCESSES = re.compile(r"\s*CGroup:")
_COMMAND_LINE = re.compile(r"^\s*(Process|Control):|\bExec(?!Main)\w+=")
_NARROWINGS = 5  # half an hour down to a minute, which is as fine as lines are told apart on the host
_CONSUMERS, _ERRORS_SHOWN, _STATUS_LINES = 10, 20, 12


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The evidence as it is kept. `parts` are plain JSON by name, `failed` the sentence of those that are missing."""

    taken_at: str
    parts: Mapping[str, Any]
    failed: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept; `of` is the inverse."""
        return {"format": 1, "taken_at": self.taken_at, "parts": dict(self.parts), "failed": dict(self.failed)}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Diagnosis":
        """Rebuild it.

        Raises:
            GarbledAnswerError: it is none.
        """
        try:
            return cls(str(data["taken_at"]), dict(data["parts"]), dict(data["failed"]))
        except (KeyError, TypeError, ValueError):
            raise GarbledAnswerError("What is kept as evidence is no diagnosis; start the run anew.") from None

    @property
    def generation(self) -> Mapping[str, Any] | None:
        """What the database says of generations; None when it was not seen."""
        return self.parts.get(GENERATION)

    @property
    def api_status(self) -> str:
        """What the API calls the state of the evolution; empty when nobody knows."""
        return str((self.parts.get(API) or {}).get("status") or "")

    @property
    def waits_for(self) -> list[Mapping[str, Any]]:
        """Whom the engine's sessions wait for."""
        return list((self.parts.get(LOCKS) or {}).get("waits_for", ()))


def hosts_of_service(settings: Settings) -> list[HostSettings]:
    """Return the hosts that list the engine's service."""
    return [entry for entry in settings.hosts if settings.evolution.recovery.service in entry.services]


def diagnose(ports: EvolutionPorts, settings: Settings) -> Diagnosis:
    """Look at everything at once. Raises nothing but defects: what cannot be seen is in `failed`."""
    now = ports.clock()
    jobs: dict[str, Callable[[], Any]] = {
        GENERATION: lambda: generation_state(ports, settings),
        API: lambda: _api(ports, settings),
        LOCKS: lambda: _locks(ports, settings),
        CHECKPOINTS: lambda: _checkpoints(ports, settings),
    }
    for entry in settings.hosts:
        jobs[f"services {entry.name}"] = lambda entry=entry: _services(_reached(ports, entry), entry, settings)  # type: ignore[misc]
        jobs[f"host {entry.name}"] = lambda entry=entry: _host(_reached(ports, entry), entry, settings)  # type: ignore[misc]
        jobs[f"errors {entry.name}"] = lambda entry=entry: _errors(_reached(ports, entry), settings, now)  # type: ignore[misc]
    answers = side_by_side(jobs, at_most=_AT_ONCE)
    good = {name: answer for name, answer in answers.items() if not isinstance(answer, TdevError)}
    failed = {name: masked(str(answer)) for name, answer in answers.items() if isinstance(answer, TdevError)}
    return Diagnosis(now.isoformat(), good, failed)


def generation_state(ports: EvolutionPorts, settings: Settings) -> dict[str, Any]:
    """Return the last progress, its age by the database's clock, and how many agents are at work.

    Raises:
        AccessDeniedError: row security hides rows; and what `Database.rows` raises.
    """
    progress = read_progress(ports.system.database, settings.evolution)
    [row] = ports.system.database.rows(load_sql("evolution_recovery/state"))
    newest = row["newest"]
    return {
        "generation": progress.generation if progress else None,
        "age_seconds": progress.age_seconds if progress else None,
        **row,
        "now": row["now"].isoformat(),
        "newest": newest.isoformat() if newest else "",
    }


def api_status(ports: EvolutionPorts) -> dict[str, Any]:
    """Return what the API tells of the evolution.

    Raises:
        GarbledAnswerError: it tells no status; and what `HttpService.get` raises.
    """
    answer = ports.api.get(STATUS_PATH)
    told = _json(answer.body) if answer.status == _OK else None
    if not isinstance(told, dict) or not isinstance(told.get("status"), str):
        raise GarbledAnswerError(
            f"{ports.api.name}, asked for {STATUS_PATH}, answered status {answer.status} and no state of the "
            "evolution; see its log."
        )
    return {key: masked(one_line(str(value), limit=200)) for key, value in told.items()}


def waited_for(ports: EvolutionPorts, settings: Settings, *, own_too: bool = False) -> list[dict[str, Any]]:
    """Return for whom the engine's sessions wait: somebody else, and with `own_too` another session of an engine."""
    rules = settings.evolution.recovery
    rows = ports.system.database.rows(
        load_sql("evolution_recovery/waited_for"), {"role": rules.role, "application": rules.application}
    )
    others = [row for row in rows if own_too or (row["role"], row["application"]) != (rules.role, rules.application)]
    return [{**row, "application": masked(one_line(row["application"], limit=80))} for row in others]


def holder_named(row: Mapping[str, Any]) -> str:
    """Return who holds something up, for a sentence."""
    if row["pid"] == 0:
        return "a prepared transaction"
    words = [f"pid {row['pid']} of {row['role']}"]
    if row["application"]:
        words.append(f"({row['application']})")
    if row["client_address"]:
        words.append(f"from {row['client_address']}")
    if row["state"]:
        since = row.get("state_seconds")
        words.append(row["state"] + (f" for {since / 60:.0f} min" if since is not None else ""))
    return " ".join(words)


def _api(ports: EvolutionPorts, settings: Settings) -> dict[str, Any]:
    told: dict[str, Any] = {**api_status(ports), "asked": {}}
    for path in (settings.health.api.health_path, CURRENT_PATH):
        try:
            answer = ports.api.get(path)
        except TdevError as error:
            told["asked"][path] = str(error)
            continue
        text = masked(one_line(answer.body.decode("utf-8", "replace"), limit=300))
        told["asked"][path] = f"{answer.status} in {answer.seconds * 1000:.0f} ms: {text}"
    return told


def _locks(ports: EvolutionPorts, settings: Settings) -> dict[str, Any]:
    database, rules = ports.system.database, settings.evolution.recovery
    held = database.rows(load_sql("evolution_recovery/locks"), {"tables": list(rules.tables)})
    for row in held:
        row["backend_start"] = row["backend_start"].isoformat() if row["backend_start"] else ""
        row["application"] = masked(one_line(row["application"], limit=80))
    return {"held": held, "waits_for": waited_for(ports, settings)}


def _checkpoints(ports: EvolutionPorts, settings: Settings) -> list[dict[str, Any]]:
    rules = settings.evolution.recovery
    highest = None
    with suppress(TdevError):  # it is told by the part that is about it
        highest = generation_state(ports, settings)["highest"] or 0
    found = look_at_checkpoints(ports.system.objects, settings.buckets.checkpoints, rules, highest)
    return [one.to_json() for one in found]


def _reached(ports: EvolutionPorts, entry: HostSettings) -> Host:
    if entry.name not in ports.system.hosts:
        raise InputError(f"There is no way to reach host {entry.name}; check its entry in [[hosts]].")
    return ports.system.hosts[entry.name]


def _services(host: Host, entry: HostSettings, settings: Settings) -> dict[str, Any]:
    """Return what an act needs to know of a host; a machine that tells no more than this can be helped all the same."""
    rules = settings.evolution.recovery
    files = rules.lock_files if rules.service in entry.services else ()
    return {
        "running": {service: is_alive(host, settings, service) for service in entry.services},
        "lock_files": {file: _lock_file(host, file) for file in files},
    }


def _host(host: Host, entry: HostSettings, settings: Settings) -> dict[str, Any]:
    processes, memory = processes_of(host), MemInfo.of(host)
    load = output_of(host, "cat", "/proc/loadavg").split()
    found: dict[str, Any] = {
        "load_5_minutes": float(load[1]),
        "cores": int(output_of(host, "nproc")),
        "cpu_percent": _cpu_percent(host),
        "memory_used_percent": round(memory.used_percent, 1),
        "memory_available_mib": memory.available // 1024,
        "consumers": [process.to_json() for process in processes[:_CONSUMERS]],
    }
    rules = settings.evolution.recovery
    if rules.service in entry.services:
        argv = [word.replace("{service}", rules.service) for word in rules.service_status]
        said = host.run(argv, timeout_seconds=10.0)  # systemctl status: 3 says that it does not run, and still says it
        lines = without_arguments((said.stdout or said.stderr).splitlines())[:_STATUS_LINES]
        found["status"] = [masked(one_line(line, limit=200)) for line in lines]
        pid = pid_of(host, settings.memory_relief.service_pid, rules.service)
        engine = next((process for process in processes if process.pid == pid), None)
        found["engine"] = engine.to_json() if engine else None
    return found


def without_arguments(lines: Sequence[str]) -> list[str]:
    """Return what a service manager says of a service without command lines: arguments may be secrets of people.

    From `CGroup:` on `systemctl status` lists processes with theirs, and then the journal.
    """
    told: list[str] = []
    for line in lines:
        if _PROCESSES.match(line):
            break
        if not _COMMAND_LINE.search(line):
            told.append(line)
    return told


def _lock_file(host: Host, file: str) -> str:
    try:
        pid = owner_of(host, file)
        return "not there" if pid is None else f"of process {pid}, which {'lives' if lives(host, pid) else 'is dead'}"
    except TdevError as error:
        return str(error)


def _cpu_percent(host: Host) -> float:
    """Return how busy the processors were for half a second."""
    before = _ticks(host)
    time.sleep(_CPU_SAMPLE_SECONDS)
    after = _ticks(host)
    spent = [late - early for early, late in zip(before, after, strict=True)]
    idle = sum(spent[3:5])  # idle, and waiting for disks
    return round(100 * (1 - idle / sum(spent)), 1) if sum(spent) > 0 else 0.0


def _ticks(host: Host) -> list[int]:
    words = output_of(host, "head", "-n", "1", "/proc/stat").split()
    try:
        return [int(word) for word in words[1:9]]
    except ValueError:
        raise GarbledAnswerError(f"/proc/stat on {host.name} gave no figures.") from None


def _errors(host: Host, settings: Settings, now: datetime) -> dict[str, Any]:
    rules = settings.evolution.recovery
    files, _ = log_files(host, settings.logs.directory)
    early, late = now - timedelta(minutes=rules.errors_minutes), now
    lines, more = matching_lines(host, files, rules.errors_pattern, since=early, until=now)
    shown, cut = lines, more
    for _ in range(_NARROWINGS if more else 0):  # what a host prints is cut at its end, where the newest are
        middle = early + (late - early) / 2
        found, cut = matching_lines(host, files, rules.errors_pattern, since=middle, until=now)
        if found:
            early, shown = middle, found
        else:
            late, cut = middle, True
        if not cut:
            break
    newest = [masked(one_line(line, limit=300)) for line in sorted(shown)[-_ERRORS_SHOWN:]]
    return {"lines": len(lines), "more": more, "newest": newest, "newest_known": not cut}


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
