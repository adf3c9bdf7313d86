"""What a confined process told of an agent, read as the words of a hostile writer, and two of them held together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tdev_operators.core.agents.confinement.house import Answer, printable
from tdev_operators.core.errors import ProofFailedError

_MOST_CALLS = 20_000
_MARK = 24


@dataclass(frozen=True, slots=True)
class Recording:
    """What an agent did: by call a digest of what came of it; sizes in bytes, None where nothing could be made."""

    calls: Mapping[str, tuple[str, ...]]
    names: tuple[str, ...]
    ran: int
    lines: int
    doctests: tuple[int, int]
    endless: tuple[str, ...]
    footprint: int | None
    instance: int | None

    @property
    def coverage_percent(self) -> float:
        """How much of the lines of its functions ran; all of them where there are none."""
        return 100 * self.ran / self.lines if self.lines else 100.0

    @property
    def asked(self) -> int:
        """How many answers there are."""
        return sum(map(len, self.calls.values()))


def read(answer: Answer) -> Recording:
    """Return what was told.

    Raises:
        ProofFailedError: nothing was, or not in the way that our recorder tells it; the clause says why.
    """
    if answer.refusal:
        raise ProofFailedError(answer.refusal)
    data = answer.data
    if error := data.get("error"):
        raise ProofFailedError(f"it cannot be loaded alone ({printable(error)})")
    try:
        tries, failures = map(_count, data["doctests"])
        return Recording(
            calls=_calls(data["calls"]),
            names=tuple(str(name) for name in data["names"]),
            ran=_count(data["ran"]),
            lines=_count(data["lines"]),
            doctests=(tries, failures),
            endless=tuple(str(name) for name in data["endless"]),
            footprint=None if data["footprint"] is None else _count(data["footprint"]),
            instance=None if data["instance"] is None else _count(data["instance"]),
        )
    except (KeyError, TypeError, ValueError):
        raise ProofFailedError("its process told something that our recorder does not tell") from None


def refuse_differences(before: Recording, after: Recording, *, but: frozenset[str] = frozenset()) -> None:
    """Refuse what does not behave as before. A private name that a pass made may be there in addition.

    `but` are callables that are not compared.

    Raises:
        ProofFailedError: names the first call that came out otherwise.
    """
    public = [tuple(name for name in one.names if not name.startswith("_")) for one in (before, after)]
    if more := sorted(set(public[1]) - set(public[0])):
        raise ProofFailedError(f"it offers {printable(more[0])}, which was not there")
    for name, marks in before.calls.items():
        if after.calls.get(name) != marks and name.partition("#")[0] not in but:
            raise ProofFailedError(f"{printable(name)} does not come out as before")
    for name in after.calls:
        if name not in before.calls and not name.startswith("_") and name.partition("#")[0] not in but:
            raise ProofFailedError(f"{printable(name)} could not be called before")
    if before.doctests != after.doctests:
        raise ProofFailedError(
            f"{after.doctests[1]} of {after.doctests[0]} doctests fail, before {before.doctests[1]} of "
            f"{before.doctests[0]}"
        )


def _calls(told: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(told, list) or len(told) > _MOST_CALLS:
        raise TypeError
    calls: dict[str, list[str]] = {}
    for name, mark in told:
        if not (isinstance(name, str) and isinstance(mark, str) and len(mark) == _MARK):
            raise TypeError
        calls.setdefault(name, []).append(mark)
    return {name: tuple(marks) for name, marks in calls.items()}


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise TypeError
    return value
