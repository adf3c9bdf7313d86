"""From an outcome to a report, alerts and a verdict: what the report, judge and closing tasks of a tier do."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from tdev_operators.core.errors import RedVerdictError, TdevError
from tdev_operators.core.items import ItemOutcome, ItemRef
from tdev_operators.core.ledger import Decision, ItemRecord, Ledger
from tdev_operators.core.ports import Clock, utc_now
from tdev_operators.core.reporting.alerts import (
    Notice,
    NoticeKind,
    completion_check,
)
from tdev_operators.core.reporting.decisions import (
    decide_on_readers,
    decide_on_reminders,
    decide_on_replay,
    decide_on_report,
    decide_on_return,
)
from tdev_operators.core.reporting.delivery import SELF, deliver_and_watch, hand_over, ui_url, watch_self
from tdev_operators.core.reporting.messages import AlertMessage, Channel, message_id
from tdev_operators.core.reporting.report import Report, build_report
from tdev_operators.core.reporting.wording import counted, moment
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Coverage, Verdict

T = TypeVar("T")

_NAMED_IN_A_SENTENCE = 5
_HEARTBEAT_HINT = "Whoever watches the heartbeat will believe that maintenance is dead."
_SPOOL_HINT = "Look at what the sentence names in the backups bucket; it is tried again with every run."


def report_item(
    ledger: Ledger,
    channels: Sequence[Channel],
    settings: Settings,
    ref: ItemRef,
    *,
    now: datetime,
    readers: Sequence[Channel] = (),
) -> dict[str, Any]:
    """Write the report of an item run and send its alerts, whatever state the item and the ledger are in.

    `readers` are the channels to those who want every report, red or not. An item without an outcome (its task crashed
    or was killed) is recorded as UNKNOWN. Run twice, it changes nothing and sends nothing again. Returns `report_id`,
    `verdict`, `counts`, `alerts_sent`, `problems`.
    """
    problems: list[str] = []
    settings = _with_silences(ledger, settings, now, problems)
    found = _attempt(lambda: ledger.item(ref), problems)
    record = found or ItemRecord(ref, attempt=1, started_at=now)
    # With the ledger down, no record does not mean no end: nothing is written that a later look would contradict.
    known = found is not None or not (ledger.outage or problems)
    outcome = record.outcome or _without_end(ref, record.started_at, now, known=known)
    if known and record.outcome is None:
        _attempt(lambda: ledger.close_item(ref, outcome), problems)
    bad_since = _attempt(lambda: ledger.bad_since(ref.item, outcome.ended_at), problems) or {}

    def build() -> Report:
        texts = tuple(dict.fromkeys(text for text in (record.remark, ledger.outage, *problems) if text))
        return build_report(
            ref, outcome, settings, attempt=record.attempt, bad_since=bad_since, problems=texts, now=now
        )

    # Saved before anybody is sent its link; saved again when saving or sending showed something that it should say.
    saved = build()
    if known:
        _attempt(lambda: ledger.save_report(ref, saved), problems)
    news = build()
    _attempt(lambda: decide_on_report(ledger, channels, settings, news, remark=record.remark), problems)
    if readers:
        _attempt(lambda: decide_on_readers(ledger, readers, settings, news), problems)
    sent = _deliver(ledger, channels, settings, f"report:{saved.id}", now, problems, readers)
    report = build()
    if known and report != saved:
        _attempt(lambda: ledger.save_report(ref, report), problems)
    return {
        "report_id": report.id,
        "verdict": report.verdict.value,
        "counts": report.counts,
        "alerts_sent": sent,
        "problems": list(report.problems),
    }


def _with_silences(ledger: Ledger, settings: Settings, now: datetime, problems: list[str]) -> Settings:
    """Return the settings with the silences that recovery work has set for itself."""
    found = _attempt(lambda: ledger.silences(now), problems) or ()
    return settings.model_copy(update={"silences": (*settings.silences, *found)}) if found else settings


def judge_item(ledger: Ledger, ref: ItemRef) -> str:
    """Return the one-line note of an item that is OK or WARNING.

    Raises:
        RedVerdictError: it is CRITICAL or UNKNOWN, did not end, or nobody can say. One sentence that names the checks.
    """
    try:
        record = ledger.item(ref)
    except TdevError as error:
        raise RedVerdictError(f"Nobody can say how {ref.item} ended, so it is not OK: {error}") from error
    if record is None and ledger.outage:
        raise RedVerdictError(f"{ref.item} is UNKNOWN: {ledger.outage}")
    if record is None or record.outcome is None or record.verdict is None:
        raise RedVerdictError(f"{ref.item} is UNKNOWN: nothing is recorded of its end; read the log of its task.")
    red = [result for result in record.results if result.verdict.is_red]
    if record.verdict.is_red:
        red.sort(key=lambda result: (-result.verdict.badness, bool(result.because_of), result.check))
        named = ", ".join(f"{result.check} ({result.verdict})" for result in red[:_NAMED_IN_A_SENTENCE])
        more = f" and {len(red) - _NAMED_IN_A_SENTENCE} more" if len(red) > _NAMED_IN_A_SENTENCE else ""
        raise RedVerdictError(
            f"{ref.item} is {record.verdict}: {named or 'nothing was checked'}{more}; read its report."
        )
    warned = [result.check for result in record.results if result.verdict is Verdict.WARNING]
    note = f"{ref.item} is {record.verdict}: {counted(len(record.results), 'check')}"
    return f"{note}, look at {', '.join(warned)}." if warned else f"{note}, all well."


def close_run(
    ledger: Ledger,
    channels: Sequence[Channel],
    settings: Settings,
    tier: str,
    dag_id: str,
    run_id: str,
    *,
    now: datetime,
    heartbeat: Callable[[str], None],
    readers: Sequence[Channel] = (),
) -> dict[str, Any]:
    """Finish a run of a tier: replay the spool, report what was left out, remind, record and send the heartbeat.

    `heartbeat` asks for a URL and raises a TdevError when nothing good is answered.

    Returns `replayed`, `reported`, `alerts_sent`, `waiting` (messages that no channel took yet: close the run again
    later) and `problems`. Nothing that fails here hides a verdict: it is a problem.
    """
    occasion = f"close:{dag_id}:{run_id}:{now.isoformat()}"
    problems: list[str] = []
    refused: list[str] = []
    settings = _with_silences(ledger, settings, now, problems)
    replayed = _attempt(lambda: _replay(ledger, channels, settings, occasion, now), refused) or 0
    problems += refused
    watched = [
        _own_result("spool", refused, well="All that waited in the spool is in the ledger.", hint=_SPOOL_HINT),
    ]
    sent = 0
    left_out = _attempt(lambda: list(ledger.unreported(dag_id, run_id, now)), problems) or []
    for ref in left_out:
        told = report_item(ledger, channels, settings, ref, now=now, readers=readers)
        sent += told["alerts_sent"]
        problems += told["problems"]
    _attempt(lambda: decide_on_reminders(ledger, channels, settings, occasion, now), problems)
    _attempt(lambda: ledger.record_heartbeat(tier, dag_id, run_id, now), problems)
    if settings.alerts.heartbeat_url:
        unheard: list[str] = []
        _attempt(lambda: heartbeat(settings.alerts.heartbeat_url), unheard)
        problems += unheard
        watched.append(_own_result("heartbeat", unheard, well="The heartbeat was taken.", hint=_HEARTBEAT_HINT))
    _attempt(lambda: watch_self(ledger, channels, settings, f"watched:{occasion}", watched, now), problems)
    sent += _deliver(ledger, channels, settings, occasion, now, problems, readers)
    names = [channel.name for channel in (*channels, *readers)]
    waiting = _attempt(lambda: ledger.waiting(names, now), problems) or 0
    if ledger.outage:
        problems.append(ledger.outage)
    return {
        "replayed": replayed,
        "reported": len(left_out),
        "alerts_sent": sent,
        "waiting": waiting,
        "problems": list(dict.fromkeys(problems)),
    }


def announce_missed_deadline(
    ledger: Ledger,
    channels: Sequence[Channel],
    settings: Settings,
    *,
    dag_id: str,
    run_id: str,
    run_state: str,
    item: str,
    deadline_at: datetime,
    now: datetime,
) -> bool:
    """Tell people, once, that an item has not ended by its deadline; returns whether there was something to tell.

    Silent when the run failed (its report says so), or when the ledger shows that the item ended in time. When the
    ledger cannot be asked, people are told that too.
    """
    if run_state == "failed":
        return False
    ref = ItemRef(dag_id.removeprefix("tdev_"), dag_id, run_id, item)
    summary = f"{item} should have ended by {moment(deadline_at)} and has not (run {run_id})."
    since = deadline_at
    try:
        record = ledger.item(ref)
    except TdevError:
        record = None
    if record and record.first_ended_at and record.first_ended_at <= deadline_at:
        return False
    if ledger.outage and record is None:
        summary = (
            f"{item} was to end by {moment(deadline_at)} (run {run_id}); whether it did is not known: {ledger.outage}"
        )
    elif record and record.first_ended_at:
        summary = f"{item} should have ended by {moment(deadline_at)}; it did at {moment(record.first_ended_at)}."
    hint = f"Look at the run {run_id} of {dag_id}: is its task queued, running or hung?"
    notice = Notice(NoticeKind.OPENED, item, f"{item}.deadline", Verdict.CRITICAL, summary, hint, since)
    occasion = f"deadline:{dag_id}:{run_id}:{item}"
    message = AlertMessage(message_id(occasion), settings.system.name, (notice,), now, ui_url(settings))
    # A deadline has no episode: it is decided on apart from the item's checks, and from every other deadline.
    taken = ledger.decide(
        occasion,
        occasion,
        deadline_at,
        lambda _: Decision(message=message),
        channels=[channel.name for channel in channels],
        damping_hours=settings.alerts.damping_hours,
    )
    if taken:
        deliver_and_watch(ledger, channels, settings, occasion, now)
    return taken


def announce_unwritten_report(
    channels: Sequence[Channel], settings: Settings, ref: ItemRef, *, error: str, clock: Clock = utc_now
) -> bool:
    """Tell people that an item's report could not be written; returns whether any channel took the message.

    It is the last resort: it asks neither the ledger nor the spool, and remembers nothing.
    """
    check = f"{ref.item}.report"
    summary = f"The report of {ref.item} could not be written, so nobody was told how it ended: {error}"
    hint = f"Read the log of the task {ref.item}.report in run {ref.run_id} of {ref.dag_id}, then clear it."
    notice = Notice(NoticeKind.OPENED, ref.item, check, Verdict.UNKNOWN, summary, hint)
    occasion = f"unwritten:{ref.dag_id}:{ref.run_id}:{ref.item}"
    message = AlertMessage(message_id(occasion), settings.system.name, (notice,), clock(), ui_url(settings))
    refusals = [hand_over(channel, message) for channel in channels]
    return "" in refusals


def _without_end(ref: ItemRef, started_at: datetime, now: datetime, *, known: bool) -> ItemOutcome:
    if known:
        summary = f"{ref.item} did not run to its end, so nothing is known."
        hint = (
            "Read the log of its first red task: it was refused, crashed, was killed or ran out of time; then clear it."
        )
    else:
        summary = f"Nobody can say how {ref.item} ended: its outcome is out of reach."
        hint = "Mend the ledger; what is recorded there is reported by the next run."
    result = CheckResult(
        check=completion_check(ref.item),
        verdict=Verdict.UNKNOWN,
        summary=summary,
        hint=hint,
        coverage=Coverage(seen=(ref.item,)),
    )
    return ItemOutcome((result,), min(started_at, now), now)


def _replay(ledger: Ledger, channels: Sequence[Channel], settings: Settings, occasion: str, now: datetime) -> int:
    count, reason = 0, ""
    for entry in ledger.replay():
        if not entry.reported:
            report_item(ledger, channels, settings, entry.ref, now=now)
        elif decide_on_replay(ledger, channels, settings, entry, now):
            count, reason = count + 1, entry.reason
    if count:
        text = f"The ledger is back and has what waited for it: {counted(count, 'outcome')}. {reason}"
        decide_on_return(ledger, channels, settings, occasion, now, sentence=text)
    return count


def _own_result(name: str, problems: Sequence[str], *, well: str, hint: str) -> CheckResult:
    return CheckResult(
        check=f"{SELF}.{name}",
        verdict=Verdict.UNKNOWN if problems else Verdict.OK,
        summary=" ".join(problems) or well,
        hint=hint if problems else "",
        coverage=Coverage(seen=(name,)),
    )


def _deliver(
    ledger: Ledger,
    channels: Sequence[Channel],
    settings: Settings,
    occasion: str,
    now: datetime,
    problems: list[str],
    readers: Sequence[Channel],
) -> int:
    """Hand out what waits; returns how many messages the channels (not the readers) took."""
    tally = _attempt(lambda: deliver_and_watch(ledger, channels, settings, occasion, now, readers), problems)
    if tally is None:
        return 0
    problems += tally.problems
    return sum(tally.sent[channel.name] for channel in channels)


def _attempt(call: Callable[[], T], problems: list[str]) -> T | None:
    """Return the call's result; a failure is one more problem to report, and no reason to stop reporting."""
    try:
        return call()
    except TdevError as error:
        problems.append(str(error))
        return None
