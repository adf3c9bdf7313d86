"""Whether a recovery may begin, by what was seen; and what is probably wrong, in a sentence. Pure rules."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tdev_operators.core.evolution.progress import told_of
from tdev_operators.core.evolution.recovery.diagnosis import (
    API,
    CHECKPOINTS,
    GENERATION,
    Diagnosis,
    holder_named,
    hosts_of_service,
)
from tdev_operators.core.maintenance_window import is_open
from tdev_operators.core.settings import Settings

# Letters of the kernel for a process that does nothing by itself.
_HUNG = {"T": "was stopped by a signal", "t": "is being traced", "D": "hangs on a disk or a mount", "Z": "is dead"}


@dataclass(frozen=True, slots=True)
class RecoveryRequest:
    """One recovery. `recovery_id` is the same in every try of it.

    `force` acts although the evolution is not stalled; `although_stopped` although somebody stopped it over the API.
    """

    recovery_id: str
    requested_by: str = ""
    force: bool = False
    although_stopped: bool = False
    dry_run: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to act (`go`), the sentence about it, and what to do where not; `stalled` is None when nobody knows."""

    go: bool
    why: str
    stalled: bool | None
    todo: str = ""


def decide(found: Diagnosis, settings: Settings, request: RecoveryRequest) -> Decision:
    """Decide by the evidence. Where something is not known that an act needs, nothing is done."""
    state = found.generation
    if state is None:
        return Decision(
            go=False,
            why=f"Nobody can say whether the evolution is stalled: {found.failed[GENERATION]}",
            stalled=None,
            todo="Mend the database or the way to it, and start it again.",
        )
    stalled, told = is_stalled(state, settings), _age(state, settings)
    if not stalled and not request.force:
        return Decision(go=False, why=f"The evolution is not stalled: {told}", stalled=False)
    refused, todo = _refusal(found, settings, request)
    if refused:
        return Decision(go=False, why=f"{told} {refused}", stalled=stalled, todo=todo)
    return Decision(go=True, why=f"{told} {cause(found, settings)}", stalled=stalled)


def is_stalled(state: Mapping[str, Any], settings: Settings) -> bool:
    """Whether no generation came for too long, as the health check has it; none at all is too long."""
    return state["age_seconds"] is None or state["age_seconds"] >= settings.evolution.stalled_after_seconds


def needs_approval(settings: Settings, now: datetime) -> bool:
    """Whether a person has to allow the restart at that moment."""
    return settings.evolution.recovery.approve_restart and not is_open(settings.system.maintenance_window, now)


def _refusal(found: Diagnosis, settings: Settings, request: RecoveryRequest) -> tuple[str, str]:
    rules = settings.evolution.recovery
    hosts = hosts_of_service(settings)
    if not hosts:
        return f"No host of [[hosts]] lists the service {rules.service}.", "Mend evolution.recovery.service."
    if away := [entry.name for entry in hosts if f"services {entry.name}" in found.failed]:
        why = found.failed[f"services {away[0]}"]
        return f"The engine's host cannot be asked: {why}", "Mend the way to the host, and start it again."
    if API in found.failed:
        return (
            f"Nobody can say whether somebody stopped it on purpose: {found.failed[API]}",
            "Mend the API, which has to resume the evolution, too, and start it again.",
        )
    if found.api_status not in rules.running_states and not request.although_stopped:
        since = (found.parts[API] or {}).get("changed_at", "")
        return (
            f"It is {found.api_status} over the API{f' since {since}' if since else ''}, so somebody wanted that.",
            "Ask who stopped it; start it again with *Although stopped* when it shall run.",
        )
    if foreign := found.waits_for:
        who = holder_named(foreign[0])
        return (
            f"The engine waits for a lock of {who}, which lives and is not the engine's: a restart would wait as well.",
            f"See what {who} does, end it if it may be ended, and start it again if the evolution does not go on then.",
        )
    return "", ""


def cause(found: Diagnosis, settings: Settings) -> str:
    """Return what the evidence says is probably wrong, in a sentence or several."""
    return " ".join(_causes(found, settings)) or "The evidence shows no cause; the engine is asked to begin anew."


def _causes(found: Diagnosis, settings: Settings) -> Iterator[str]:
    service = settings.evolution.recovery.service
    for entry in hosts_of_service(settings):
        services, machine = (found.parts.get(f"{kind} {entry.name}") or {} for kind in ("services", "host"))
        if not services.get("running", {}).get(service, True):
            yield f"{service} on {entry.name} does not run."
        elif (engine := machine.get("engine")) and engine["state"][:1] in _HUNG:
            yield f"{service} on {entry.name} {_HUNG[engine['state'][:1]]} (process {engine['pid']})."
    for name, part in found.parts.items():
        if name.startswith("errors ") and part["lines"]:
            yield f"{part['lines']} lines of errors in the logs of {name.partition(' ')[2]}."
    if found.api_status in settings.evolution.recovery.running_states:
        yield f"The API says {found.api_status}."
    if bad := [one["key"] for one in found.parts.get(CHECKPOINTS, ()) if one["fault"]]:
        yield f"{len(bad)} of the newest checkpoints cannot be used, {bad[0]} first."


def _age(state: Mapping[str, Any], settings: Settings) -> str:
    due = settings.evolution.generation_interval_seconds / 60
    if state["age_seconds"] is None:
        return f"No generation was ever recorded; one is due every {due:.0f} min."
    told = told_of(state["generation"], state["age_seconds"], state["highest"])
    return f"{told}; one is due every {due:.0f} min."
