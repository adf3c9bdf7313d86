"""What the findings of the ledger mean today: late is CRITICAL, new and bad is WARNING, the rest is in hand."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.security.findings import Severity
from tdev_operators.core.security.ledger import FindingsLedger, Recorded, Sort
from tdev_operators.core.security.waivers import Waiver
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

OPEN, WAIVERS = "findings.open", "findings.waivers"
_SOON_DAYS = 14
_BAD = (Severity.CRITICAL, Severity.HIGH, Severity.UNKNOWN)
_OPEN_SHOWN = 500
_ALSO = {Sort.OPEN: "open"}
# What a daily report shows, in this order.
_SHOWN = {Sort.LATE: "late", Sort.NEW: "new", Sort.BACK: "back", Sort.FIXED: "fixed", Sort.EXPIRING: "waiver ends"}


def judge(
    ledger: FindingsLedger,
    settings: Settings,
    waivers: Sequence[Waiver],
    at: datetime,
    not_seen: Mapping[str, str],
    *,
    everything: bool = False,
) -> tuple[CheckResult, CheckResult]:
    """Judge what is open after a merge, and the waivers. `not_seen` is what no scanner has looked at whole, and why.

    With `everything` the first `_OPEN_SHOWN` of all that is open are told, too.

    Raises:
        TransientError, SetupMissingError, AccessDeniedError: the ledger's database.
    """
    system = settings.system.name
    counts = ledger.counts(system, at)
    shown = {
        sort: ledger.findings(system, at, sort, most=settings.security.shown)
        for sort in _SHOWN
        if _sum(counts, sort) or sort is Sort.EXPIRING
    }
    if everything:
        shown[Sort.OPEN] = ledger.findings(system, at, Sort.OPEN, most=_OPEN_SHOWN)
    return _of_open(counts, shown, Coverage(seen=(system,), skipped=not_seen), at), _of_waivers(waivers, at)


def not_judged() -> CheckResult:
    """Return what a scan without targets has to say."""
    return CheckResult(
        OPEN,
        Verdict.UNKNOWN,
        "Nothing is scanned.",
        hint="Write [[security.targets]] into the settings: the image and the source of what is maintained.",
    )


def _of_open(
    counts: Mapping[Severity, Mapping[Sort, int]],
    shown: Mapping[Sort, Sequence[Recorded]],
    coverage: Coverage,
    at: datetime,
) -> CheckResult:
    late, fixed = _sum(counts, Sort.LATE), _sum(counts, Sort.FIXED)
    bad = sum(counts.get(one, {}).get(sort, 0) for one in _BAD for sort in (Sort.NEW, Sort.BACK))
    verdict = Verdict.CRITICAL if late else Verdict.WARNING if bad else Verdict.OK
    open_now = ", ".join(
        f"{by[Sort.OPEN]} {severity.lower()}"
        for severity in Severity
        if (by := counts.get(severity, {})) and by.get(Sort.OPEN)
    )
    news = ", ".join(f"{_sum(counts, sort)} {word}" for sort, word in _SHOWN.items() if _sum(counts, sort))
    return CheckResult(
        OPEN,
        verdict,
        f"Open: {open_now or 'nothing'}.{f' Of these or since: {news}.' if news else ''}",
        measurements=(
            *(
                Measurement(f"open, {severity.lower()}", counts.get(severity, {}).get(Sort.OPEN, 0))
                for severity in Severity
            ),
            Measurement("late", late, critical=1),
            Measurement("new or back, high and worse", bad, warning=1),
            Measurement("fixed", fixed),
            Measurement("waived", _sum(counts, Sort.WAIVED)),
        ),
        hint=_hint(late=late, bad=bad),
        coverage=coverage,
        details=tuple(line_of(word, one, at) for sort, word in (_SHOWN | _ALSO).items() for one in shown.get(sort, ())),
    )


def _hint(*, late: int, bad: int) -> str:
    if late:
        return "Mend what is late, first line first; or let somebody answer for it in the file of waivers, until a day."
    return "Look at what is new before it is late." if bad else ""


def line_of(word: str, one: Recorded, at: datetime) -> str:
    """Return a finding as one line for people, `word` first: `late: HIGH CVE-... package@version in target: ...`."""
    finding = one.finding
    due = f"due {one.due_at:%Y-%m-%d}" if one.due_at > at else f"due since {one.due_at:%Y-%m-%d}"
    fix = f", fixed in {finding.fixed_in}" if finding.fixed_in else ""
    waiver = f"; waived until {one.waived_until:%Y-%m-%d}" if one.waived_until and one.waived_until > at else ""
    return one_line(
        f"{word}: {finding.severity} {finding.rule} {finding.place} in {finding.target}: {finding.title}{fix}; "
        f"{due}, seen since {one.first_seen:%Y-%m-%d} by {finding.scanner}{waiver}"
    )


def _of_waivers(waivers: Sequence[Waiver], at: datetime) -> CheckResult:
    ended = [one for one in waivers if one.until <= at]
    soon = [one for one in waivers if at < one.until <= at + timedelta(days=_SOON_DAYS)]
    return CheckResult(
        WAIVERS,
        Verdict.WARNING if ended or soon else Verdict.OK,
        f"{counted(len(waivers), 'waiver')}; {len(ended)} have ended, {len(soon)} end within {_SOON_DAYS} days.",
        hint="Mend what they were for and remove them, or have them reviewed." if ended or soon else "",
        coverage=Coverage(seen=("the file of waivers",)),
        details=tuple(one_line(f"{'ended' if one in ended else 'ends soon'}: {one.told}") for one in (*ended, *soon)),
    )


def _sum(counts: Mapping[Severity, Mapping[Sort, int]], sort: Sort) -> int:
    return sum(by.get(sort, 0) for by in counts.values())
