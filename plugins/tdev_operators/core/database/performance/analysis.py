"""The daily analysis: measure, compare with before, keep what was measured (guide: performance analysis)."""

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from tdev_operators.core.database.performance.day import Day
from tdev_operators.core.database.performance.looks import all_looks
from tdev_operators.core.database.performance.sampling import STATEMENTS, Taken, take
from tdev_operators.core.errors import TdevError
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.items import ItemOutcome
from tdev_operators.core.ledger import ItemStore
from tdev_operators.core.looks import Look, looked, told, with_causes
from tdev_operators.core.scope import parted
from tdev_operators.core.verdicts import CheckResult

if TYPE_CHECKING:
    from tdev_operators.core.database.performance.settings import PerformanceSettings
    from tdev_operators.core.ports import SystemPorts
    from tdev_operators.core.settings import Settings

SAMPLES = "performance.samples"
_HINT = "Mend what the sentence names; each day without a sample is one that regressions and capacity cannot see."
_OF_STATEMENTS = frozenset(f"performance.{look}" for look in ("top_statements", "regressions", "new_statements"))
# Growth looks a week back; a run that is late must still find that sample.
_LOOK_BACK_DAYS = 10

_log = logging.getLogger(__name__)


def analyse(
    system: "SystemPorts",
    ledger: ItemStore,
    settings: "Settings",
    *,
    progress: Callable[[str], object] = _log.info,
    looks: Sequence[Look[Day]] | None = None,
) -> ItemOutcome:
    """Take today's samples, compare them with those in the ledger, and keep them there.

    Reads the database only, as a role with pg_monitor and pg_read_all_data. A look that raises is UNKNOWN and says
    why; the others go on. On a first day there is nothing to compare with: that is said and is OK.
    """
    started_at = system.clock()
    looks = all_looks() if looks is None else looks
    wanted, out_of_scope = parted([SAMPLES, *(each.name for each in looks)], settings)
    taken = take(system, settings)
    name = settings.system.name
    since = taken.at - timedelta(days=look_back_days(settings.performance))
    day = Day(system, settings, taken, {kind: ledger.samples(name, kind, since) for kind in taken.samples})
    results = [looked(each, day) for each in looks if each.name in wanted]
    kept = _kept(taken, ledger, settings, needs_statements=bool(wanted & _OF_STATEMENTS))
    if SAMPLES in wanted:
        results.append(kept)
    for result in results:
        progress(told(result))
    return ItemOutcome(with_causes(results, _same_trouble), started_at, system.clock(), out_of_scope)


def _same_trouble(cause: CheckResult, result: CheckResult) -> bool:
    return cause.summary == result.summary


def look_back_days(rules: "PerformanceSettings") -> int:
    """Return how many days back the oldest sample lies with which the analysis compares."""
    return max(rules.baseline_days + 2, _LOOK_BACK_DAYS)


def _kept(taken: Taken, ledger: ItemStore, settings: "Settings", *, needs_statements: bool) -> CheckResult:
    """Keep today's samples, and say so only of those that the ledger then has."""
    findings = Findings(SAMPLES)
    name = settings.system.name
    for kind, sample in taken.samples.items():
        if isinstance(sample, TdevError):
            if kind != STATEMENTS or needs_statements:
                findings.skip(kind, str(sample))
            continue
        try:
            ledger.keep_sample(name, kind, sample)
            kept = ledger.samples(name, kind, taken.at, 1)
        except TdevError as error:
            findings.skip(kind, str(error))
            continue
        if kept:
            findings.saw(kind)
        else:
            findings.skip(kind, "the ledger's database is down, so that it was not kept")
    kinds = [kind for kind, sample in taken.samples.items() if not isinstance(sample, TdevError)]
    return findings.conclude(f"Kept for later comparison: {', '.join(kinds)}.", hint=_HINT, tool=taken.tool)
