"""The evolution, paused over its API while agents are written, and resumed: by the next run, if we are killed."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tdev_operators.core.agents.ports import AgentPorts
from tdev_operators.core.agents.undo_store import UndoStore
from tdev_operators.core.errors import ProofFailedError, TransientError

_STATUS, _STOP, _RESUME = "/api/evolution/status", "/api/evolution/stop", "/api/evolution/resume"
_ANSWERED = (200, 202)
_TRIES = 3
_PATIENCE_SECONDS, _TICK_SECONDS = 5.0, 0.25


@contextmanager
def paused(ports: AgentPorts, undo: UndoStore, note: Callable[[str, Mapping[str, Any]], None]) -> Iterator[None]:
    """Let no generation be made while the block runs. An evolution that stands already is left as it is.

    Raises:
        ProofFailedError: it does not stop, or does not run again; the sentence says what to do.
        TransientError: its API does not answer.
    """
    if _settled(ports) != "running":
        yield
        return
    undo.mark_pause()  # before it is stopped: whoever comes after a dead worker resumes it
    note("evolution_pause", {"why": "agents are written, and the store heeds no conditions"})
    try:
        _switch(ports, _STOP, "stopped")
        yield
    finally:  # also where it did not answer: it may have stopped all the same
        resume(ports, undo, note)


def resume(ports: AgentPorts, undo: UndoStore, note: Callable[[str, Mapping[str, Any]], None]) -> None:
    """Let the evolution go on, where it does not already; tried some times.

    Raises:
        ProofFailedError: it does not run again.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            if _settled(ports) != "running":
                note("evolution_resume", {})
                _switch(ports, _RESUME, "running")
            break
        except (TransientError, ProofFailedError):
            if attempt == _TRIES:
                raise ProofFailedError(
                    f"The evolution was paused by us and does not run again; POST {_RESUME} by hand."
                ) from None
    undo.unmark_pause()


def _switch(ports: AgentPorts, path: str, expected: str) -> None:
    """Ask for a state, and wait for it: what counts is the state, for an answer may be lost."""
    lost = ""
    try:
        answer = ports.api.post(path)
        if answer.status not in _ANSWERED:
            raise ProofFailedError(f"POST {path} answered {answer.status}; see the API's log.")
    except TransientError as error:
        lost = f" (POST {path}: {str(error).rstrip('.')})"
    found, until = _state(ports), time.monotonic() + _PATIENCE_SECONDS
    while found != expected and time.monotonic() < until:
        time.sleep(_TICK_SECONDS)
        found = _state(ports)
    if found != expected:
        raise ProofFailedError(f"After POST {path} the evolution is {found!r} and not {expected!r}; see its log{lost}.")


def _settled(ports: AgentPorts) -> str:
    """Return its state, once it is not on its way into another."""
    found, until = _state(ports), time.monotonic() + _PATIENCE_SECONDS
    while found == "stopping" and time.monotonic() < until:
        time.sleep(_TICK_SECONDS)
        found = _state(ports)
    return found


def _state(ports: AgentPorts) -> str:
    answer = ports.api.get(_STATUS)
    try:
        if answer.status in _ANSWERED:
            return str(json.loads(answer.body)["status"])
    except (ValueError, KeyError, TypeError):
        pass
    raise ProofFailedError(f"GET {_STATUS} answered {answer.status} and no status; see what the API lacks.")
