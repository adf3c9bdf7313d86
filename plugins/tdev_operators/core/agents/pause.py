"""The evolution, paused over its API while agents are written, and resumed: by the next run, if we are killed."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tdev_operators.core.agents.ports import AgentPorts
from tdev_operators.core.agents.undo_store import UndoStore
from tdev_operators.core.errors import ProofFailedError, TransientError

_STATUS, _STOP, _RESUME = "/api/evolution/status", "/api/evolution/stop", "/api/evolution/resume"
_ANSWERED = 200
_TRIES = 3


@contextmanager
def paused(ports: AgentPorts, undo: UndoStore, note: Callable[[str, Mapping[str, Any]], None]) -> Iterator[None]:
    """Let no generation be made while the block runs. An evolution that stands already is left as it is.

    Raises:
        ProofFailedError: it does not stop, or does not run again; the sentence says what to do.
        TransientError: its API does not answer.
    """
    if _state(ports) != "running":
        yield
        return
    undo.mark_pause()  # before it is stopped: whoever comes after a dead worker resumes it
    note("evolution_pause", {"why": "agents are written, and the store heeds no conditions"})
    _switch(ports, _STOP, "stopped")
    try:
        yield
    finally:
        resume(ports, undo, note)


def resume(ports: AgentPorts, undo: UndoStore, note: Callable[[str, Mapping[str, Any]], None]) -> None:
    """Let the evolution go on; tried some times.

    Raises:
        ProofFailedError: it does not run again.
    """
    note("evolution_resume", {})
    for attempt in range(1, _TRIES + 1):
        try:
            _switch(ports, _RESUME, "running")
            break
        except (TransientError, ProofFailedError):
            if attempt == _TRIES:
                raise ProofFailedError(
                    f"The evolution was paused by us and does not run again; POST {_RESUME} by hand."
                ) from None
    undo.unmark_pause()


def _switch(ports: AgentPorts, path: str, expected: str) -> None:
    answer = ports.api.post(path)
    if answer.status != _ANSWERED:
        raise ProofFailedError(f"POST {path} answered {answer.status}; see the API's log.")
    if (found := _state(ports)) != expected:
        raise ProofFailedError(f"After POST {path} the evolution is {found!r} and not {expected!r}; see its log.")


def _state(ports: AgentPorts) -> str:
    answer = ports.api.get(_STATUS)
    try:
        if answer.status == _ANSWERED:
            return str(json.loads(answer.body)["status"])
    except (ValueError, KeyError, TypeError):
        pass
    raise ProofFailedError(f"GET {_STATUS} answered {answer.status} and no status; see what the API lacks.")
