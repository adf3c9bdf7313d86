"""From figures to a result: judging against limits, and collecting what a check found target by target."""

import math

from tdev_operators.core.errors import GarbledAnswerError, TargetTimeoutError, TargetUnreachableError
from tdev_operators.core.health.registry import check_name
from tdev_operators.core.setting_types import Ceiling, Floor
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict, worst

# What says something about the target. Any other error is about us, our credentials or what lies between.
OF_THE_TARGET = (TargetUnreachableError, TargetTimeoutError, GarbledAnswerError)

_SENTENCES = 4


def judge(value: float, limits: Ceiling | Floor) -> Verdict:
    """Hold a figure against its limits. What is not a number is UNKNOWN."""
    if math.isnan(value):
        return Verdict.UNKNOWN
    low = isinstance(limits, Floor)
    if value < limits.critical if low else value >= limits.critical:
        return Verdict.CRITICAL
    if value < limits.warning if low else value >= limits.warning:
        return Verdict.WARNING
    return Verdict.OK


def some(names: list[str], *, at_most: int = 3, of: int = 0) -> str:
    """Return the first names for a sentence: `a, b, c and 7 more`; `of` counts those that are not given, too."""
    shown = names[:at_most]
    unnamed = max(of, len(names)) - len(shown)
    return ", ".join(shown) + (f" and {unnamed} more" if unnamed else "")


class Findings:
    """What one check saw, to be concluded into its result. Make it with the check module's `__name__`."""

    def __init__(self, module: str) -> None:
        """Start with nothing seen, which cannot become an OK."""
        self._check = check_name(module)
        self._seen: list[str] = []
        self._skipped: dict[str, str] = {}
        self._measurements: list[Measurement] = []
        self._found: list[tuple[Verdict, str]] = []

    def saw(self, *targets: str) -> None:
        """Note targets that were really looked at."""
        self._seen.extend(targets)

    def skip(self, target: str, reason: str) -> None:
        """Note a target that could not be looked at: the result cannot be OK."""
        self._skipped[target] = reason

    def measure(self, name: str, value: float | None, unit: str = "", limits: Ceiling | Floor | None = None) -> Verdict:
        """Keep a figure with its limits and say how bad it is (OK without limits, UNKNOWN without a figure)."""
        self._measurements.append(
            Measurement(
                name,
                value,
                unit,
                warning=limits.warning if limits else None,
                critical=limits.critical if limits else None,
            )
        )
        if limits is None:
            return Verdict.OK
        return Verdict.UNKNOWN if value is None else judge(value, limits)

    def measured(self, *figures: Measurement) -> None:
        """Keep figures that were judged elsewhere."""
        self._measurements.extend(figures)

    def found(self, verdict: Verdict, sentence: str) -> None:
        """Keep a sentence for a person; an OK finding needs none and is dropped."""
        if verdict is not Verdict.OK:
            self._found.append((verdict, sentence))

    @property
    def skipped(self) -> bool:
        """Whether a target could not be looked at."""
        return bool(self._skipped)

    @property
    def verdict(self) -> Verdict:
        """The worst finding so far; OK when there is none."""
        return worst([Verdict.OK, *(verdict for verdict, _ in self._found)])

    def conclude(
        self,
        ok: str,
        *,
        hint: str = "",
        tool: str = "",
        data_age_seconds: float = 0.0,
        because_of: str = "",
    ) -> CheckResult:
        """Return the result: the findings worst first, or the sentence `ok` when there are none.

        Without a `hint` the runner gives the check's own. `because_of` names the check whose red verdict explains
        what could not be looked at; the runner forgets it when that check is not red.
        """
        ordered = sorted(self._found, key=lambda finding: -finding[0].badness)
        sentences = [sentence for _, sentence in ordered[:_SENTENCES]]
        if len(ordered) > _SENTENCES:
            sentences.append(f"And {len(ordered) - _SENTENCES} more.")
        return CheckResult(
            check=self._check,
            verdict=self.verdict,
            summary=" ".join(sentences) or ok,
            measurements=tuple(self._measurements),
            hint=hint,
            coverage=Coverage(
                seen=tuple(self._seen),
                skipped=dict(self._skipped),
                data_age_seconds=data_age_seconds,
                tool=tool,
            ),
            because_of=because_of,
        )
