"""The evidence line by line, as the report and the log show it."""

from collections.abc import Iterator, Mapping
from typing import Any

from tdev_operators.core.evolution.recovery.diagnosis import API, CHECKPOINTS, LOCKS, Diagnosis, holder_named


def evidence_lines(found: Diagnosis) -> Iterator[str]:
    """Yield the evidence line by line, as the report shows it."""
    state = found.generation
    if state:
        age = "none was ever recorded" if state["age_seconds"] is None else f"{state['age_seconds'] / 60:.0f} min ago"
        agents = f"{state['active_agents']} of {state['agents']} agents in 24 h"
        yield f"generation   {state['generation']} ({age}); {agents}"
    if api := found.parts.get(API):
        told = ", ".join(f"{key} {value}" for key, value in api.items() if key != "asked")
        yield f"api          {told}"
        yield from (f"api          {path}: {answer}" for path, answer in api["asked"].items())
    for name, part in found.parts.items():
        kind, _, host = name.partition(" ")
        if kind == "services":
            yield from _service_lines(host, part)
        elif kind == "host":
            yield from _host_lines(host, part)
        elif kind == "errors":
            which = "" if part.get("newest_known", True) else "; newer ones than these may be there, so many they are"
            yield f"errors       {part['lines']}{' and more' if part['more'] else ''} in the logs of {host}{which}"
            yield from (f"             {line}" for line in part["newest"])
    locks = found.parts.get(LOCKS) or {"held": (), "waits_for": ()}
    for row in locks["held"]:
        how = "holds" if row["granted"] else f"waits {row['waited_seconds'] or 0:.0f} s for"
        behind = f" behind {', '.join(map(str, row['blocked_by']))}" if row["blocked_by"] else ""
        yield f"lock         {holder_named(row)} {how} {row['target']} ({row['mode']}){behind}"
    for row in locks["waits_for"]:
        yield f"lock         the engine (pid {row['engine_pid']}) waits for {holder_named(row)}"
    for one in found.parts.get(CHECKPOINTS, ()):
        yield f"checkpoint   {one['key']}, {one['size_bytes'] / 1_000_000:.2f} MB: {one['fault'] or 'valid'}"
    yield from (f"not seen     {name}: {why}" for name, why in found.failed.items())


def _service_lines(host: str, part: Mapping[str, Any]) -> Iterator[str]:
    running = ", ".join(f"{name} {'runs' if runs else 'does not run'}" for name, runs in part["running"].items())
    yield f"services     {host}: {running or 'none'}"
    yield from (f"lock file    {host}: {file}: {said}" for file, said in part["lock_files"].items())


def _host_lines(host: str, part: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"host         {host}: CPU {part['cpu_percent']:.0f} %, load {part['load_5_minutes']:.2f} on {part['cores']} "
        f"cores, memory {part['memory_used_percent']:.0f} % used, {part['memory_available_mib']} MiB available"
    )
    if "engine" in part:
        engine = part["engine"]
        said = (
            f"pid {engine['pid']}, state {engine['state']}, for {engine['seconds'] / 3600:.1f} h" if engine else "none"
        )
        yield f"engine       {host}: process {said}"
    yield from (f"status       {line}" for line in part.get("status", ()))
    for one in part["consumers"]:
        yield f"process      {host}: {one['rss_kib'] / 1024:.0f} MiB pid {one['pid']} {one['name']}"
