"""What a restore has to say of itself, from its journal alone: the report is true even when its worker died."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from tdev_operators.core.ports import utc_now
from tdev_operators.core.recovery.database import RestoredDatabase
from tdev_operators.core.recovery.journal import Entry, Journal
from tdev_operators.core.recovery.request import RestoreRequest
from tdev_operators.core.recovery.restore import (
    APPROVED,
    ASKED,
    CHECKED,
    CHOSEN,
    HEALTH,
    STARTED,
    STOPPED,
    bucket_step,
)
from tdev_operators.core.recovery.take_place import EXCHANGE, OPEN
from tdev_operators.core.reporting.wording import counted, moment, span
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

_NAMED = 4
_AGAIN_HINT = "Read the log of the first red task; start the restore again when it is mended."


def results_of(journal: Journal, now: datetime | None = None, *, dry_run: bool = False) -> tuple[CheckResult, ...]:
    """Return a result for the set, and one for everything that was asked for; what was not reached is UNKNOWN.

    Of a dry run it is the set, and what would be done.
    """
    asked = journal.done(ASKED)
    if asked is None:
        summary = "Nothing was begun."
        return (CheckResult("restore.set", Verdict.UNKNOWN, summary, hint=_AGAIN_HINT),)
    request = RestoreRequest.of_facts(asked)
    if dry_run:
        return _set(journal.done(CHOSEN), now or utc_now()), _dry(journal.done(CHECKED))
    return tuple(_results(journal, request, now or utc_now()))


def _results(journal: Journal, request: RestoreRequest, now: datetime) -> Iterator[CheckResult]:
    yield _set(journal.done(CHOSEN), now)
    if refused := next((entry for entry in journal.entries if entry.event == "refused"), None):
        yield CheckResult("restore.approval", Verdict.UNKNOWN, f"Not restored: {refused.facts.get('why', '')}")
    if request.database != "none":
        yield _database(journal)
    for name in request.buckets:
        yield _bucket(name, journal.done(bucket_step(name)))
    if request.replaces_live:
        yield from _live(journal)


def _dry(checked: Mapping[str, Any] | None) -> CheckResult:
    if checked is None:
        return _not_reached("restore.dry_run", None, "Whether it can be done was not seen to the end")
    told = " ".join(" ".join(line.split()) for line in checked["told"])
    return CheckResult("restore.dry_run", Verdict.OK, f"Nothing was touched. {told}", coverage=Coverage(seen=("plan",)))


def _set(chosen: Mapping[str, Any] | None, now: datetime) -> CheckResult:
    if chosen is None:
        return CheckResult("restore.set", Verdict.UNKNOWN, "No set was chosen.", hint=_AGAIN_HINT)
    point = datetime.fromisoformat(chosen["recovery_point"])
    age = (now - point).total_seconds()
    summary = f"{chosen['set_id']} takes the system back to {moment(point)}, {span(age)} before now."
    verdict = Verdict.OK
    if chosen["missing"]:
        verdict, summary = Verdict.WARNING, f"{summary} It is not PROVEN: {chosen['missing']}."
    elif chosen["newer"]:
        summary = f"{summary} Newer and not PROVEN: {', '.join(chosen['newer'][:_NAMED])}."
    measured = (Measurement("recovery point", round(age / 3600, 2), "h"),)
    return CheckResult("restore.set", verdict, summary, measured, coverage=Coverage(seen=(chosen["set_id"],)))


def _database(journal: Journal) -> CheckResult:
    name = "restore.database"
    entry = next((one for one in reversed(journal.entries) if one.step.startswith("database ")), None)
    if entry is None or entry.event != "done":
        return _not_reached(name, entry, "The database was not restored to the end")
    restored = RestoredDatabase.of_facts(entry.facts)
    seconds = sum(restored.phases.values())
    measured = [Measurement("restore and proof", round(seconds, 2), "s")]
    measured += [Measurement(phase, round(took, 2), "s") for phase, took in restored.phases.items()]
    coverage = Coverage(seen=(restored.name,))
    what = f"{counted(restored.rows, 'row')} of {counted(restored.tables, 'table')}"
    if restored.differences:
        more = f" And {len(restored.differences) - _NAMED} more." if len(restored.differences) > _NAMED else ""
        summary = f"{restored.name} is NOT what the source held: {' '.join(restored.differences[:_NAMED])}{more}"
        hint = "Do not use it as it is; restore an earlier set (`tdev backup list`) and compare the two."
        return CheckResult(name, Verdict.CRITICAL, summary, tuple(measured), hint, coverage)
    if restored.unprovable:
        summary = f"{restored.name} was restored, and nobody can say whether it is equal: {restored.unprovable}."
        return CheckResult(name, Verdict.UNKNOWN, summary, tuple(measured), "Compare counts by hand.", coverage)
    summary = f"{restored.name} was restored in {span(seconds)} and is equal to the source at the snapshot: {what}."
    return CheckResult(name, Verdict.OK, summary, tuple(measured), coverage=coverage)


def _bucket(name: str, done: Mapping[str, Any] | None) -> CheckResult:
    check = f"restore.bucket_{name}"
    if done is None:
        return _not_reached(check, None, f"The bucket {name} was not restored to the end")
    where = f"{done['bucket']}/{done['prefix']}"
    summary = (
        f"{where}: {counted(done['written'], 'object')} written, {done['removed']} removed, {done['kept']} kept though "
        "the set has not their content."
    )
    measured = (
        Measurement("objects written", done["written"]),
        Measurement("bytes written", done["written_bytes"], "bytes"),
        Measurement("time", done["seconds"], "s"),
    )
    coverage = Coverage(seen=(where,))
    if done["damages"]:
        summary = (
            f"{summary} {counted(done['damages'], 'object')} damaged in the set: {' '.join(done['damaged'][:_NAMED])}"
        )
        hint = "Restore those objects from an earlier set."
        return CheckResult(check, Verdict.CRITICAL, summary, measured, hint, coverage)
    return CheckResult(check, Verdict.OK, summary, measured, coverage=coverage)


def _live(journal: Journal) -> Iterator[CheckResult]:
    approved = (journal.done(APPROVED) or {}).get("by", ())
    exchanged, opened = journal.last(EXCHANGE), journal.done(OPEN)
    coverage = Coverage(seen=("live database",))
    if opened is not None and exchanged is not None:
        places = exchanged.facts
        summary = (
            f"{places['live_name']} is the restored database since {moment(exchanged.at)}; the former one is kept as "
            f"{places['old_name']}. Approved by {', '.join(approved) or 'nobody'}."
        )
        yield CheckResult("restore.live", Verdict.OK, summary, coverage=coverage)
    elif exchanged is not None and exchanged.event == "undone":
        summary = f"{exchanged.facts['live_name']} is the database that it was: the exchange was taken back."
        yield CheckResult("restore.live", Verdict.CRITICAL, summary, hint=_AGAIN_HINT, coverage=coverage)
    elif exchanged is not None:
        summary = f"The exchange of names of {exchanged.facts['live_name']} was begun and has no end that is known."
        hint = f"Look which database has the OID {exchanged.facts['live_oid']}; the journal is at {journal.place}."
        yield CheckResult("restore.live", Verdict.CRITICAL, summary, hint=hint, coverage=coverage)
    else:
        yield _not_reached("restore.live", None, "The live database was not replaced")
    stopped, started = journal.last(STOPPED), journal.done(STARTED)
    if stopped is not None and started is None:
        summary = "The services were stopped, and nobody saw them run again."
        yield CheckResult("restore.services", Verdict.CRITICAL, summary, hint="Start them by hand, in their order.")
    elif started is not None:
        names = ", ".join(started["services"]) or "no service is listed in the settings"
        verdict = Verdict.OK if started["services"] else Verdict.WARNING
        yield CheckResult("restore.services", verdict, f"Running: {names}.", coverage=Coverage(seen=(names,)))
    if opened is not None:
        health = journal.done(HEALTH)
        if health is None:
            yield _not_reached("restore.health", None, "The health check was not run on what was restored")
        else:
            verdict = Verdict(health["verdict"])
            red = ", ".join(health["red"])
            summary = f"The health check is {verdict}" + (f": {red}." if red else ".")
            yield CheckResult("restore.health", verdict, summary, coverage=Coverage(seen=("health check",)))


def _not_reached(check: str, entry: Entry | None, what: str) -> CheckResult:
    when = f"; it was begun at {moment(entry.at)}" if entry else ""
    return CheckResult(check, Verdict.UNKNOWN, f"{what}{when}.", hint=_AGAIN_HINT)
