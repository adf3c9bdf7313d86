"""From what was counted to results: one a pattern, one about the reading itself, one about new shapes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from tdev_operators.core.health.findings import judge, some
from tdev_operators.core.logs.baseline import Usual, days_before
from tdev_operators.core.logs.check_names import NEW_SHAPES, READING, name_of
from tdev_operators.core.logs.counting import Seen, Window
from tdev_operators.core.logs.history import History
from tdev_operators.core.logs.lines import NO_TIME
from tdev_operators.core.logs.reading import SourceRead
from tdev_operators.core.logs.settings import LogAnalysis, LogPattern
from tdev_operators.core.logs.shapes import Shapes
from tdev_operators.core.logs.tally import Cell, Tally
from tdev_operators.core.reporting.wording import counted, moment, number, rounded, span
from tdev_operators.core.series import Point, Series
from tdev_operators.core.setting_types import Ceiling
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict, worst

_DAY_HOURS = 24
_MB = 1e6
_SKIPPED_TOLD = 20
_HINT_READING = (
    "Mend what the sentence names: what was not read is in no count. Where a planted line was not counted, nothing was "
    "really looked at."
)
_HINT_PATTERN = "Read the first and the last of these lines below, then the log of the component with the most of them."
_HINT_SHAPES = "Read the lines below; a shape is told once, on the day that it comes."


@dataclass(frozen=True, slots=True)
class Read:
    """What a run has read: source by source, together with what earlier runs counted of the window."""

    sources: Sequence[SourceRead]
    tally: Tally
    window: Window
    now: datetime
    blind: Mapping[str, Sequence[str]]
    seconds: float
    tool: str

    @property
    def seen(self) -> list[Seen]:
        """What each file held."""
        return [seen for source in self.sources for seen in source.read.values()]

    @property
    def skipped(self) -> dict[str, str]:
        """What could not be read, and why."""
        return {name: why for source in self.sources for name, why in source.skipped.items()}

    @property
    def hours(self) -> tuple[int, int]:
        """The first hour of the window and the one that is not over yet."""
        return self.window.since // 60, self.window.until_now // 60

    def coverage(self, *, blind: bool) -> Coverage:
        """Return how much the run's results rest on."""
        newest = max((seen.last_minute for seen in self.seen), default=NO_TIME)
        age = max(0.0, self.now.timestamp() - (newest + 1) * 60) if newest != NO_TIME else 0.0
        return Coverage(
            seen=tuple(name for source in self.sources for name in source.read),
            skipped=dict(list(self.skipped.items())[:_SKIPPED_TOLD]),
            data_age_seconds=age,
            tool=self.tool,
            canary_found=bool(self.seen) and not blind if self.seen or blind else None,
        )


def reading_result(read: Read, rules: LogAnalysis, *, stale_minutes: float) -> CheckResult:
    """Tell what was read and how well; what was not makes it UNKNOWN, and so does a host that logs no more."""
    seen = read.seen
    total, lines = sum(one.bytes for one in seen), sum(one.lines for one in seen)
    in_window = sum(read.tally.lines.values())
    found: list[tuple[Verdict, str]] = []
    found += [(Verdict.WARNING, text) for source in read.sources for text in _steps_back(source)]
    found += [(Verdict.UNKNOWN, text) for source in read.sources for text in _silences(source, read.now, stale_minutes)]
    future = sum(one.future for one in seen)
    if future:
        found.append((Verdict.WARNING, f"{counted(future, 'line')} of the future, which count nowhere."))
    blind = sorted({pattern for patterns in read.blind.values() for pattern in patterns})
    if blind:
        found.append(
            (Verdict.UNKNOWN, f"Planted lines were not counted for {some(blind)} in {some(sorted(read.blind))}.")
        )
    if seen and not in_window and not read.skipped:
        found.append(
            (
                Verdict.UNKNOWN,
                "Not one line of the window was found: their stamps are none that we read, or nothing is logged.",
            )
        )
    unstamped = sum(one.unstamped for one in seen)
    speed = total / read.seconds / _MB if read.seconds > 0 else 0.0
    ok = (
        f"{number(in_window)} lines of the last {rules.hours} h from {counted(len(read.sources), 'source')}; "
        f"{number(rounded(total / _MB))} MB new in {span(read.seconds)}."
    )
    told = [text for source in read.sources for text in source.told]
    long_lines = sum(one.long_lines for one in seen)
    details = [
        *told,
        *(f"{level}: {number(count)} lines" for level, count in read.tally.by_level().most_common()),
        f"{number(unstamped)} of {number(lines)} lines read now bear no time; each belongs to the line before it.",
        *([f"{counted(long_lines, 'line')} of more than 1 MB, looked at in pieces."] if long_lines else []),
    ]
    sentences = [text for _, text in sorted(found, key=lambda one: -one[0].badness)]
    return CheckResult(
        READING,
        worst([Verdict.OK, *(verdict for verdict, _ in found)]),
        " ".join([*sentences[:4], ok]),
        measurements=(
            Measurement("lines of the window", in_window, "lines"),
            Measurement("read now", rounded(total / _MB), "MB"),
            Measurement("speed", rounded(speed), "MB/s"),
        ),
        hint=_HINT_READING,
        coverage=read.coverage(blind=bool(blind)),
        duration_seconds=read.seconds,
        details=tuple(details),
        series=(_by_hour("all lines", read.tally.lines, read),),
    )


def pattern_result(pattern: LogPattern, read: Read, history: History, rules: LogAnalysis) -> CheckResult:
    """Hold a pattern's lines against its limits and against the days before."""
    whole, by_hour = read.tally.total(pattern.name), read.tally.by_hour(pattern.name)
    since, until = read.hours
    count = whole.lines
    verdicts, sentences = [Verdict.OK], []
    if pattern.lines is not None:
        verdict = judge(count, pattern.lines)
        verdicts.append(verdict)
        if verdict is not Verdict.OK:
            limit = pattern.lines.critical if verdict is Verdict.CRITICAL else pattern.lines.warning
            sentences.append(f"{count:,} lines in {rules.hours} h are {number(limit)} or more.")
    full_days = sum(lines for hour, lines in by_hour.items() if since <= hour < until)
    before = days_before(
        history.by_hour.get(pattern.name, {}),
        history.read.get(pattern.name, frozenset()),
        end=until - 1,
        hours=rules.hours,
        days=rules.baseline_days,
    )
    verdict, sentence, measured = _unusual(pattern, full_days, before, history, rules)
    verdicts.append(verdict)
    sentences += [sentence] if verdict is not Verdict.OK or not sentences else []
    most = ", ".join(f"{part} {number(lines)}" for part, lines in whole.parts.most_common(3))
    head = f"{counted(count, 'line')} of {pattern.name}{f' ({most})' if most else ''}."
    blind = any(pattern.name in patterns for patterns in read.blind.values())
    verdict, coverage = worst(verdicts), read.coverage(blind=blind)
    details = _details(whole, rules.shown)
    if read.skipped and verdict is not Verdict.OK:
        # What was not read could only add to it: the verdict is certain, and must not hide behind UNKNOWN.
        sentences.append(f"At least: {some(sorted(read.skipped))} not read to the end.")
        details += [f"not read: {name} ({why})" for name, why in list(read.skipped.items())[:_SKIPPED_TOLD]]
        coverage = replace(coverage, seen=coverage.seen or ("what earlier runs counted",), skipped={})
    return CheckResult(
        name_of(pattern.name),
        verdict,
        " ".join([head, *filter(None, sentences)]),
        measurements=(
            Measurement(
                f"lines in {rules.hours} h",
                count,
                "lines",
                warning=pattern.lines.warning if pattern.lines else None,
                critical=pattern.lines.critical if pattern.lines else None,
            ),
            *measured,
        ),
        hint=_HINT_PATTERN,
        coverage=coverage,
        because_of=READING if read.skipped and verdict is Verdict.OK else "",
        details=tuple(details),
        series=(
            _by_hour(f"{pattern.name} by hour", by_hour, read),
            _by_day(pattern, [full_days, *before], until),
        ),
    )


def _unusual(
    pattern: LogPattern, count: int, before: Sequence[int], history: History, rules: LogAnalysis
) -> tuple[Verdict, str, tuple[Measurement, ...]]:
    if not pattern.unusual:
        return Verdict.OK, "", ()
    if not history.is_known:
        return Verdict.OK, "The ledger's database is down, so that nobody knows what is usual.", ()
    if len(before) < rules.baseline_minimum_days:
        have = f"{counted(len(before), 'day')} of {rules.baseline_minimum_days}"
        return Verdict.OK, f"There are not enough days to compare with yet ({have}).", ()
    usual = Usual.of(before)
    deviations = usual.deviations(count)
    limits: Ceiling = rules.unusual_deviations
    measured = (
        Measurement("usual in as long", rounded(usual.lines), "lines"),
        Measurement("above usual", rounded(deviations), "deviations", limits.warning, limits.critical),
    )
    verdict = judge(deviations, limits) if count >= rules.unusual_minimum_lines else Verdict.OK
    if verdict is Verdict.OK:
        return verdict, f"Usual are {number(rounded(usual.lines))} (median of {counted(usual.days, 'day')}).", measured
    limit = usual.limit(limits.critical if verdict is Verdict.CRITICAL else limits.warning)
    sentence = (
        f"{count:,} in the last full hours are unusual: {number(rounded(usual.lines))} are usual, and from "
        f"{number(round(limit))} on it is told."
    )
    return verdict, sentence, measured


def _details(whole: Cell, shown: int) -> list[str]:
    lines = [f"{part}: {number(count)} lines" for part, count in whole.parts.most_common(shown)]
    if whole.first:
        lines.append(f"first: {whole.first}")
    if whole.last and whole.lines > 1:
        lines.append(f"last: {whole.last}")
    return lines


def shapes_result(shapes: Shapes, read: Read, history: History, rules: LogAnalysis) -> CheckResult:
    """Tell which messages have a shape that no earlier run knew."""
    new = shapes.new
    blind = bool(read.blind)
    skipped = {} if history.is_known else {"known shapes": "the ledger's database is down"}
    coverage = read.coverage(blind=blind)
    coverage = Coverage(
        coverage.seen, {**coverage.skipped, **skipped}, coverage.data_age_seconds, coverage.tool, coverage.canary_found
    )
    looked = f"{counted(shapes.lines, 'line')} of level WARNING and worse looked at"
    if shapes.left_out:
        looked += f", {number(shapes.left_out)} left out: more of a kind, or beyond {rules.shapes_seconds:g} s"
    if not history.shapes:
        learnt = f"{counted(len(shapes.all), 'shape')} learnt"
        verdict, summary = Verdict.OK, f"{learnt}; there were none to compare with yet."
    elif new:
        verdict, summary = Verdict.WARNING, f"{counted(len(new), 'shape')} never seen before."
    else:
        verdict, summary = Verdict.OK, f"No new shape beside the {number(len(shapes.all))} known ones."
    details = [f"{number(shape.lines)} x {shape.example}" for shape in new[: rules.shown]]
    if len(new) > rules.shown:
        details.append(f"and {len(new) - rules.shown} more")
    return CheckResult(
        NEW_SHAPES,
        verdict,
        f"{summary} {looked}.",
        measurements=(
            Measurement("new shapes", len(new), "shapes"),
            Measurement("left out", shapes.left_out, "lines"),
        ),
        hint=_HINT_SHAPES,
        coverage=coverage,
        because_of=READING if read.skipped else "",
        details=tuple(details),
    )


def _steps_back(source: SourceRead) -> Iterator[str]:
    for name, seen in source.read.items():
        if seen.step_back is not None:
            before, after = (moment(_moment(minute)) for minute in seen.step_back)
            more = f" and {seen.steps_back - 1} more times" if seen.steps_back > 1 else ""
            yield f"The clock went back in {name}: from {before} to {after}{more}."


def _silences(source: SourceRead, now: datetime, stale_minutes: float) -> Iterator[str]:
    """Say that a host has written nothing for too long; shipped logs come when they come."""
    newest = max((token.minute for token in source.tokens), default=NO_TIME)
    if newest == NO_TIME:
        return
    age = now - _moment(newest)
    if age > timedelta(minutes=stale_minutes):
        yield f"The newest line of {source.title} is {span(age.total_seconds())} old: nothing is being logged there."


def _by_hour(name: str, by_hour: Mapping[int, int], read: Read) -> Series:
    since, until = read.hours
    points = tuple(Point(_moment(hour * 60), by_hour.get(hour, 0)) for hour in range(since, until + 1))
    return Series(name, "lines", points)


def _by_day(pattern: LogPattern, newest_first: Sequence[int], until: int) -> Series:
    end = _moment(until * 60)
    points = [Point(end - timedelta(days=day), lines) for day, lines in enumerate(newest_first)]
    return Series(
        f"{pattern.name} by day",
        "lines",
        tuple(reversed(points)),
        limit=pattern.lines.warning if pattern.lines else None,
    )


def _moment(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)
