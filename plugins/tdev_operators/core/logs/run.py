"""The daily analysis of all logs: read what is new, count, compare with before, keep it (guide: Log Analysis)."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from tdev_operators.core.errors import TdevError, sentence_of
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.ledger import ItemStore, Sample
from tdev_operators.core.logs.check_names import ROTATION
from tdev_operators.core.logs.counting import Window
from tdev_operators.core.logs.elsewhere import ObjectRead, hour_to_begin, read_events, read_objects
from tdev_operators.core.logs.history import KIND, History, SourceState, history_of, kept
from tdev_operators.core.logs.judging import Read, pattern_result, reading_result, shapes_result
from tdev_operators.core.logs.patterns import Patterns, engine
from tdev_operators.core.logs.ports import LogPorts
from tdev_operators.core.logs.reading import Job, SourceRead, read_host
from tdev_operators.core.logs.rotation.effect import rotation_result
from tdev_operators.core.logs.settings import LogSource
from tdev_operators.core.logs.shapes import Shapes
from tdev_operators.core.logs.tally import together
from tdev_operators.core.logs.tokens import Token
from tdev_operators.core.looks import with_causes
from tdev_operators.core.verdicts import CheckResult, Coverage

if TYPE_CHECKING:
    from tdev_operators.core.settings import Settings

# Sources at a time, each with two files: a stream takes some four megabytes.
_AT_ONCE = 4
_MINUTES, _SECONDS = 60, 60
# Clocks differ: what is stamped so much later than now is not from the future.
_SLACK_MINUTES = 5

_log = logging.getLogger(__name__)


def analyse_logs(
    ports: LogPorts,
    settings: "Settings",
    ledger: ItemStore,
    *,
    wanted: frozenset[str] | None = None,
    progress: Callable[[str], object] = _log.info,
) -> tuple[CheckResult, ...]:
    """Read what was logged since the last run, count it, and judge the last hours.

    One result a pattern; and three about the reading itself, about new shapes, and about rotation. `wanted` are the
    names of those that count (None: all). Nothing on the hosts is changed. What was counted and how far was read is
    kept in the ledger, in one piece: a run that dies has read nothing, and the next one goes on. Without the ledger's
    database the whole window is read again, and nothing can be called unusual.
    """
    now, rules = ports.clock(), settings.logs.analysis
    window = _window(now, rules.hours, rules.clock_back_minutes)
    regexes = {pattern.name: pattern.regex for pattern in settings.logs.patterns}
    history = history_of(ledger, settings.system.name, regexes, now, rules.baseline_days + 2)
    shapes = Shapes(
        history.shapes, seconds=rules.shapes_seconds, at_most=rules.shapes_kept, hour=window.until_now // _MINUTES
    )
    began = time.monotonic()
    job = Job(
        Patterns.of(regexes),
        window,
        tuple(pattern.example.encode() for pattern in settings.logs.patterns),
        began + rules.minutes * _SECONDS,
        shapes,
    )
    sources, states = _read_all(ports, settings, history, job)
    tally = together(state.tally for state in states.values())
    blind = {
        name: missing for source in sources for name, seen in source.read.items() if (missing := job.blind_to(seen))
    }
    read = Read(sources, tally, window, now, blind, time.monotonic() - began, engine())
    results = [reading_result(read, rules, stale_minutes=settings.health.security.log_stale_minutes)]
    results += [pattern_result(pattern, read, history, rules) for pattern in settings.logs.patterns]
    results.append(shapes_result(shapes, read, history, rules))
    results[0] = _kept(ledger, settings, results[0], read, states, shapes, regexes)
    if wanted is None or ROTATION in wanted:
        results.append(rotation_result(ports.hosts, settings, ports.clock))
    # What points to a cause that is not reported would be alerted by nobody.
    chosen = with_causes([result for result in results if wanted is None or result.check in wanted])
    for result in chosen:
        progress(f"{result.verdict:8} {result.check}: {result.summary}")
    return chosen


def _window(now: datetime, hours: int, back: float) -> Window:
    minute = int(now.timestamp()) // 60
    since = (minute // _MINUTES - hours) * _MINUTES
    return Window(since, minute + _SLACK_MINUTES, int(back), until_now=minute)


def _read_all(
    ports: LogPorts, settings: "Settings", history: History, job: Job
) -> tuple[list[SourceRead], dict[str, SourceState]]:
    """Read all sources side by side; one that cannot be read keeps what is known of it."""
    directory = settings.logs.directory
    jobs: dict[str, Callable[[], tuple[SourceRead, SourceState]]] = {}
    for entry in settings.hosts:
        title = f"{entry.name}:{directory}"
        jobs[title] = partial(_of_host, ports, entry.name, directory, history.sources.get(title), job)
    for elsewhere in settings.logs.sources:
        reader = _of_objects if elsewhere.kind == "s3" else _of_events
        jobs[elsewhere.title] = partial(reader, ports, elsewhere, history.sources.get(elsewhere.title), job)
    sources: list[SourceRead] = []
    states: dict[str, SourceState] = {}
    first_hour, last_hour = job.window.since // _MINUTES, job.window.until // _MINUTES
    for title, answer in side_by_side(
        {title: partial(_safely, work) for title, work in jobs.items()}, at_most=_AT_ONCE
    ).items():
        before = history.sources.get(title, SourceState())
        if isinstance(answer, TdevError):
            source, state = SourceRead(title, skipped={title: str(answer)}), before
        elif isinstance(answer, str):
            source, state = SourceRead(title, skipped={title: answer}), before
        else:
            source, state = answer
        sources.append(source)
        states[title] = SourceState(state.tokens, state.tally.without(first_hour, last_hour))
    return sources, states


def _safely(work: Callable[[], tuple[SourceRead, SourceState]]) -> tuple[SourceRead, SourceState] | str:
    try:
        return work()
    except TdevError:
        raise
    except Exception as error:  # noqa: BLE001  the boundary: one odd source hides no other
        return sentence_of(error, "reading logs", _log)


def _of_host(
    ports: LogPorts, name: str, directory: str, before: SourceState | None, job: Job
) -> tuple[SourceRead, SourceState]:
    before = before or SourceState(tokens=[])
    tokens = [Token.from_json(token) for token in before.tokens or ()]
    source = read_host(ports.hosts[name], directory, tokens, job)
    tally = together([before.tally, *(seen.tally for seen in source.read.values())])
    return source, SourceState([token.to_json() for token in source.tokens], tally)


def _of_objects(
    ports: LogPorts, entry: LogSource, before: SourceState | None, job: Job
) -> tuple[SourceRead, SourceState]:
    known = ObjectRead.all_of((before.tokens if before else None) or {})
    source, done = read_objects(ports.objects, entry, known, job)
    tokens = {key: one.to_json() for key, one in done.items()}
    return source, SourceState(tokens, together(one.tally for one in done.values()))


def _of_events(
    ports: LogPorts, entry: LogSource, before: SourceState | None, job: Job
) -> tuple[SourceRead, SourceState]:
    before = before or SourceState()
    begin = hour_to_begin(before.tokens, job.window.since)
    source = read_events(ports.events, entry, begin, job)
    tally = together([before.tally.without(0, begin - 1), *(seen.tally for seen in source.read.values())])
    return source, SourceState(job.window.until_now // _MINUTES, tally)


def _kept(
    ledger: ItemStore,
    settings: "Settings",
    reading: CheckResult,
    read: Read,
    states: dict[str, SourceState],
    shapes: Shapes,
    regexes: dict[str, str],
) -> CheckResult:
    """Keep what the next run needs, and say so when that failed."""
    since, until = read.hours
    complete = not read.skipped and not read.blind
    facts = kept(states, shapes.to_json(), regexes, since=since, until=until, complete=complete)
    name = settings.system.name
    try:
        ledger.keep_sample(name, KIND, Sample(read.now, facts))
        if ledger.samples(name, KIND, read.now, 1):
            return reading
        why = "the ledger's database is down, so that the next run has to read it all again"
    except TdevError as error:
        why = str(error)
    coverage = reading.coverage
    skipped = {**coverage.skipped, "what was counted, for later": why}
    return replace(
        reading,
        coverage=Coverage(coverage.seen, skipped, coverage.data_age_seconds, coverage.tool, coverage.canary_found),
    )
