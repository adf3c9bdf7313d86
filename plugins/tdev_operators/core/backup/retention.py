"""Which sets stay and which go: a plan, made of facts alone. `sweep` carries it out.

Only PROVEN sets are counted by the keep rules; of each span the newest set stays, and the spans counted are those that
have a set. So no clock decides which PROVEN sets go, and a plan made twice is the same plan. What was never proven goes
when it is old and something newer is proven. The newest PROVEN set always stays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from tdev_operators.core.backup.manifest import State
from tdev_operators.core.backup.settings import KeepRules
from tdev_operators.core.reporting.wording import counted, moment, number, span

# S3 refuses signatures that are 15 minutes off; a clock that is 5 minutes off is wrong already.
_CLOCK_TOLERANCE = timedelta(minutes=5)


class DatedSet(Protocol):
    """What a plan needs to know of a set; `SetOnDisk` is one."""

    @property
    def set_id(self) -> str:
        """The set's name."""

    @property
    def sequence(self) -> int:
        """Which set was begun after which."""

    @property
    def state(self) -> State:
        """How far it has come."""

    @property
    def has_manifest(self) -> bool:
        """Whether it was ever complete. With STAGED: its manifest cannot be read."""

    @property
    def recovery_point(self) -> datetime:
        """The moment to which it takes the database back."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one set, and why."""

    set_id: str
    state: State
    recovery_point: datetime
    keep: bool
    reason: str


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What becomes of every set, the newest first. With a `refusal` (one sentence) nothing may be removed."""

    decisions: tuple[Decision, ...]
    refusal: str = ""

    @property
    def keep(self) -> tuple[str, ...]:
        """The sets that stay, the newest first."""
        going = set(self.remove)
        return tuple(decision.set_id for decision in self.decisions if decision.set_id not in going)

    @property
    def remove(self) -> tuple[str, ...]:
        """The sets that go, the oldest first; none when the plan is refused."""
        if self.refusal:
            return ()
        return tuple(decision.set_id for decision in reversed(self.decisions) if not decision.keep)

    def to_text(self) -> str:
        """Return the plan as a diff for people: a line a set, `-` before those that go, and a last sentence."""
        lines = [
            f"{' ' if decision.keep else '-'} {decision.set_id}  {decision.state:8}  "
            f"{moment(decision.recovery_point)}  {decision.reason}"
            for decision in self.decisions
        ]
        going = sum(not decision.keep for decision in self.decisions)
        if self.refusal:
            last = f"Refused, nothing is removed: {self.refusal}"
        elif going:
            last = f"{counted(going, 'set')} of {len(self.decisions)} would go."
        else:
            last = "Nothing goes."
        return "\n".join([*lines, last])


def plan_retention(
    sets: Sequence[DatedSet],
    now: datetime,
    keep: KeepRules,
    *,
    keep_unproven_days: int,
    max_delete_percent: float,
    known_before: int,
    store_now: datetime,
) -> RetentionPlan:
    """Decide about every set.

    `now` is our clock, `store_now` the object store's; `known_before` is how many sets were known when somebody last
    looked (0: nobody did). The order of `sets` has no meaning.
    """
    ordered = sorted(sets, key=lambda one: (one.sequence, one.set_id), reverse=True)
    proven = [one for one in ordered if one.state is State.PROVEN]
    reasons = _reasons(proven, keep)
    newest = proven[0] if proven else None
    decisions = tuple(
        _about_proven(one, reasons.get(one.set_id, []))
        if one.state is State.PROVEN
        else _about_unproven(one, newest, now, timedelta(days=keep_unproven_days))
        for one in ordered
    )
    refusal = _refusal(ordered, decisions, now, store_now, known_before, max_delete_percent)
    return RetentionPlan(decisions, refusal)


def _reasons(proven: Sequence[DatedSet], keep: KeepRules) -> dict[str, list[str]]:
    """Return why PROVEN sets stay, by set; `proven` is the newest first."""
    reasons: dict[str, list[str]] = {}
    for rank, one in enumerate(proven):
        if rank == 0:
            reasons[one.set_id] = ["newest PROVEN"]
        if rank < keep.last:
            reasons.setdefault(one.set_id, []).append(f"last {keep.last}")
    for rule, count, name_of in (
        ("daily", keep.daily, _day),
        ("weekly", keep.weekly, _week),
        ("monthly", keep.monthly, _month),
        ("yearly", keep.yearly, _year),
    ):
        for name, one in _newest_of_each(proven, name_of)[:count]:
            reasons.setdefault(one.set_id, []).append(f"{rule} {name}")
    return reasons


def _newest_of_each(proven: Sequence[DatedSet], name_of: Callable[[datetime], str]) -> list[tuple[str, DatedSet]]:
    spans: dict[str, DatedSet] = {}
    for one in proven:
        spans.setdefault(name_of(one.recovery_point), one)
    return sorted(spans.items(), reverse=True, key=lambda item: item[0])


def _day(at: datetime) -> str:
    return at.date().isoformat()


def _week(at: datetime) -> str:
    year, week, _ = at.isocalendar()
    return f"{year:04d}-W{week:02d}"


def _month(at: datetime) -> str:
    return f"{at.year:04d}-{at.month:02d}"


def _year(at: datetime) -> str:
    return f"{at.year:04d}"


def _about_proven(one: DatedSet, reasons: list[str]) -> Decision:
    return Decision(
        one.set_id, one.state, one.recovery_point, bool(reasons), ", ".join(reasons) or "no rule keeps it any more"
    )


def _about_unproven(one: DatedSet, newest: DatedSet | None, now: datetime, limit: timedelta) -> Decision:
    def decided(keep: bool, reason: str) -> Decision:  # noqa: FBT001 - it is named at every call
        return Decision(one.set_id, one.state, one.recovery_point, keep, reason)

    age = now - one.recovery_point
    if one.state is State.STAGED:
        if one.has_manifest:
            return decided(keep=True, reason="its manifest cannot be read; a human decides")
        return decided(keep=True, reason="not complete; the next back-up clears what is dead")
    if newest is None or newest.sequence <= one.sequence:
        return decided(keep=True, reason="not proven, and nothing newer is")
    if age <= limit:
        return decided(keep=True, reason=f"not proven, younger than {limit.days} days")
    return decided(keep=False, reason=f"not proven in {span(age.total_seconds())}, and {newest.set_id} is")


def _refusal(
    ordered: Sequence[DatedSet],
    decisions: Sequence[Decision],
    now: datetime,
    store_now: datetime,
    known_before: int,
    max_delete_percent: float,
) -> str:
    if not ordered and known_before:
        return (
            f"the listing is empty, and {counted(known_before, 'set')} stood there before; see whether the bucket is "
            "the right one."
        )
    if (known_before - len(ordered)) * 100 > max_delete_percent * known_before:
        return (
            f"the listing shows {counted(len(ordered), 'set')}, and {known_before} stood there before; see who removed "
            "the others."
        )
    if abs(now - store_now) > _CLOCK_TOLERANCE:
        return f"our clock says {moment(now)} and the object store's {moment(store_now)}; set the one that is wrong."
    latest = max(ordered, key=lambda one: one.recovery_point, default=None)
    if latest is not None and latest.recovery_point > now + _CLOCK_TOLERANCE:
        return (
            f"the set {latest.set_id} is of {moment(latest.recovery_point)}, later than now ({moment(now)}); "
            "set the clock that is wrong."
        )
    going = sum(not decision.keep for decision in decisions)
    if going * 100 > max_delete_percent * len(decisions):
        return (
            f"{going} of {counted(len(decisions), 'set')} would go, more than the {number(max_delete_percent)} % that "
            "backup.max_delete_percent allows; look at the plan, and raise it for once if the plan is right."
        )
    return ""
