"""Makes one agent smaller, pass by pass, and climbs the whole ladder of proofs after each; what fails is taken back."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tdev_operators.core.agents.confinement.house import House
from tdev_operators.core.agents.pass_limits import at_most
from tdev_operators.core.agents.passes import Pass, pass_of
from tdev_operators.core.agents.recordings import Recording, read, refuse_differences
from tdev_operators.core.agents.settings import OptimiserSettings
from tdev_operators.core.agents.source_rules import constants_of, imported_names, mirror_in, parsed, surface
from tdev_operators.core.errors import ProofFailedError

KB = 1024  # as T-Developer's registry counts

# An odd argument may make an honest function wait for ever, and does so again when it is smaller.
_MOST_ENDLESS = 2
_MOST_MICROSECONDS = 1e9
_PASS_TIMES = 2  # as much processor time as the agent's own code has
_FEWEST_CALLS = 3  # of different callables and places; with fewer nothing was tried


@dataclass(frozen=True, slots=True)
class Goal:
    """Until when passes are applied, and what an agent must keep."""

    near_limit_kb: float
    max_size_kb: float
    max_instantiation_us: float


@dataclass(frozen=True, slots=True)
class Sizes:
    """What an agent costs: its source, what it holds when it is loaded and made some times, one of those; bytes."""

    source: int
    footprint: int | None = None
    instance: int | None = None


@dataclass(frozen=True, slots=True)
class Optimised:
    """What became of one agent. `source` is None where it is left alone, and `refusal` says why.

    `passes` are those that were kept, `rolled_back` those that were not, each with the reason. `asked` is how many
    answers were compared, `coverage_percent` how much of its code they ran through. `untried`: the refusal says
    nothing about the agent, because what tries it broke.
    """

    source: str | None
    refusal: str = ""
    passes: tuple[str, ...] = ()
    rolled_back: Mapping[str, str] = field(default_factory=dict)
    before: Sizes = Sizes(0)
    after: Sizes = Sizes(0)
    asked: int = 0
    coverage_percent: float = 0.0
    instantiation_us: tuple[float, float] | None = None
    untried: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; `from_json` is the inverse."""
        return {**asdict(self), "rolled_back": dict(self.rolled_back)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Optimised":
        """Rebuild it."""
        timing = data["instantiation_us"]
        return cls(
            **{
                **data,
                "passes": tuple(data["passes"]),
                "before": Sizes(**data["before"]),
                "after": Sizes(**data["after"]),
                "instantiation_us": None if timing is None else (timing[0], timing[1]),
            }
        )


def optimise(house: House, source: str, rules: OptimiserSettings, goal: Goal) -> Optimised:
    """Return the agent as small as proven, or why it is left alone.

    Raises:
        CommandFailedError, TargetTimeoutError, GarbledAnswerError: the confinement is broken; nothing is known then.
    """
    size = Sizes(len(source.encode()))
    try:
        climb = _Climb(house, source, rules, goal)
    except ProofFailedError as error:
        return Optimised(None, str(error), before=size, after=size)
    return climb.to_the_goal()


class _Climb:
    """One agent on its way; `kept` is what is proven so far."""

    def __init__(self, house: House, source: str, rules: OptimiserSettings, goal: Goal) -> None:
        """Look at the original, which must be worth a comparison.

        Raises:
            ProofFailedError: it is not; the clause says why.
        """
        self._house, self._rules, self._goal, self._first = house, rules, goal, source
        tree = parsed(source)
        if mirror := mirror_in(tree):
            raise ProofFailedError(f"it looks at itself ({mirror}), so it may see any change")
        # Not its own name, which code could wait for; the same for the same agent, whatever its size.
        self._module = f"agent_{hashlib.sha256(source.encode()).hexdigest()[:8]}"
        self._constants, self._imported = constants_of(tree), sorted(imported_names(tree))
        covered = self._record(source, cover=True)
        self.original = self._record(source)
        try:
            # Whoever is watched line by line is slower, so that other calls of it seem endless.
            refuse_differences(covered, self.original, but=frozenset(covered.endless + self.original.endless))
        except ProofFailedError as error:
            raise ProofFailedError(f"it is not the same twice: {error}") from None
        if len(self.original.endless) > _MOST_ENDLESS:
            raise ProofFailedError(f"{len(self.original.endless)} functions of it do not come to an end")
        if len(self.original.calls) < _FEWEST_CALLS:
            raise ProofFailedError("nothing in it can be called")
        self.coverage = covered.coverage_percent
        if self.coverage < rules.minimum_coverage_percent:
            raise ProofFailedError(
                f"the recorded calls run through {self.coverage:.0f} % of its lines, "
                f"and {rules.minimum_coverage_percent:g} % are asked for"
            )
        self._kept, self._recorded = source, self.original
        self._timing: tuple[float, float] | None = None

    def to_the_goal(self) -> Optimised:
        """Apply passes in their order until the source is at or under the limit."""
        passes: list[str] = []
        rolled_back: dict[str, str] = {}
        for name in self._rules.passes:
            if self._is_reached(passes):
                break
            try:
                if self._try(pass_of(name)):
                    passes.append(name)
            except ProofFailedError as error:
                rolled_back[name] = str(error)
        done = Optimised(
            source=self._kept if passes else None,
            passes=tuple(passes),
            rolled_back=rolled_back,
            before=self._sizes(self._first, self.original),
            after=self._sizes(self._kept, self._recorded),
            asked=self.original.asked,
            coverage_percent=round(self.coverage, 1),
            instantiation_us=self._timing,
        )
        if passes:
            return done
        why = "; ".join(f"{name}: {reason}" for name, reason in rolled_back.items())
        return replace(done, refusal=f"no pass makes it smaller{f' ({why})' if why else ''}")

    def _is_reached(self, passes: list[str]) -> bool:
        if self._rules.measure == "source":
            return len(self._kept.encode()) <= self._goal.near_limit_kb * KB
        # A footprint has no limit of its own in the guide: every pass is tried, and what brings nothing is taken back.
        return len(passes) == len(self._rules.passes)

    def _try(self, one: Pass) -> bool:
        """Apply a pass and prove it; False when it has nothing to do here.

        Raises:
            ProofFailedError: it is not proven, or brings nothing.
        """
        # What a pass is made of was not written for hostile sources; an agent that stops it must not stop the others.
        with at_most(_PASS_TIMES * self._rules.confinement.cpu_seconds):
            changed = one.apply(self._kept, self._rules)
            if changed == self._kept:
                return False
            tree, former = parsed(changed), parsed(self._kept)
            if why := one.difference(self._kept, changed):
                raise ProofFailedError(why)
        self._refuse_other_surface(former, tree)
        self._refuse_larger(changed)
        recorded = self._record(changed)
        self._refuse_heavier(recorded)
        refuse_differences(self.original, recorded)
        self._timing = self._timed(changed)
        self._kept, self._recorded = changed, recorded
        return True

    def _refuse_other_surface(self, before: Any, after: Any) -> None:
        """Refuse other public names or parameters. Imports count where the settings say that they are public."""
        hidden = frozenset[str]()
        if not self._rules.imported_names_are_public:
            hidden = frozenset(imported_names(before)) | frozenset(imported_names(after))
        old, new = (
            {name: what for name, what in surface(tree, hidden).items() if not name.startswith("_")}
            for tree in (before, after)
        )
        old = {name: what for name, what in old.items() if not name.endswith(".__slots__")}
        new = {name: what for name, what in new.items() if not name.endswith(".__slots__")}
        if old != new:
            name = min(set(old.items()) ^ set(new.items()))[0]
            raise ProofFailedError(f"it does not offer {name} as before")

    def _refuse_larger(self, changed: str) -> None:
        before, after = len(self._kept.encode()), len(changed.encode())
        if self._rules.measure == "source" and after >= before:
            raise ProofFailedError(f"it brings nothing ({before} bytes before, {after} after)")
        if after > max(before, self._goal.max_size_kb * KB):
            raise ProofFailedError(f"its source would be above {self._goal.max_size_kb:g} KB")

    def _refuse_heavier(self, recorded: Recording) -> None:
        before, after = self._recorded.footprint, recorded.footprint
        if self._rules.measure == "footprint" and (before is None or after is None or after >= before):
            raise ProofFailedError(f"it brings nothing ({before} bytes of memory before, {after} after)")

    def _timed(self, changed: str) -> tuple[float, float] | None:
        """Return microseconds before and after; None where nothing can be made without arguments.

        Raises:
            ProofFailedError: it takes too long, and longer than before.
        """
        asked = {"module": self._module, "before": self._first, "after": changed}
        answer = self._house.run("race", asked)
        before, after = answer.data.get("before"), answer.data.get("after")
        if answer.refusal or not (_is_time(before) and _is_time(after)):
            raise ProofFailedError(f"its making cannot be timed ({answer.refusal or 'no figures came'})")
        if before is None or after is None:
            return None
        allowed = max(self._goal.max_instantiation_us, before * (1 + self._rules.slower_percent / 100))
        if after > allowed:
            raise ProofFailedError(f"making one takes {after:.2f} us, before {before:.2f} us")
        return round(float(before), 3), round(float(after), 3)

    def _record(self, source: str, *, cover: bool = False) -> Recording:
        asked = {
            "source": source,
            "module": self._module,
            "constants": self._constants,
            "imported": self._imported,
            "calls": self._rules.calls,
            "agents": self._rules.footprint_agents,
            "cover": cover,
        }
        return read(self._house.run("record", asked))

    def _sizes(self, source: str, recorded: Recording) -> Sizes:
        return Sizes(len(source.encode()), recorded.footprint, recorded.instance)


def _is_time(told: Any) -> bool:
    """Whether a hostile process told a time, or that there is none: every comparison with NaN would let it pass."""
    if told is None:
        return True
    return isinstance(told, (float, int)) and not isinstance(told, bool) and 0 <= told < _MOST_MICROSECONDS
