"""What a drill has to say of itself, from its journal: rehearsed or not, equal or not, in how long, losing how much."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from tdev_operators.core.backup.manifest import State
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.drill.clean_room import bucket_facts
from tdev_operators.core.drill.drill import APPROVED, CHOSEN, CLEARED, INTENT, REHEARSED
from tdev_operators.core.drill.evidence import Evidence
from tdev_operators.core.drill.forecast import Size, Timed, forecast, grown, model
from tdev_operators.core.drill.settings import DrillSettings
from tdev_operators.core.recovery.database import RestoredDatabase
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.reporting.wording import counted, moment, span
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

_NAMED = 4
_NEAR = 0.8  # of an objective: a WARNING
_AHEAD = timedelta(days=31)  # the next drill
_AGAIN = "Mend what its log says and start the drill again: until then nobody knows whether a recovery works."
_LATE = "Restore less at first, on a faster server, or with more parallel jobs (backup.parallel_jobs); or set the \
objective (drill.rto_minutes) to what the business accepts."


def results_of(
    journal: Journal, rules: DrillSettings, past: Sequence[Evidence], sizes: Sequence[tuple[datetime, Size]]
) -> tuple[CheckResult, ...]:
    """Return the drill's results. Of one that was refused or never came to its end: UNKNOWN, not rehearsed.

    `past` is the evidence before this drill, `sizes` what the sets held at their moments.
    """
    refused = journal.last(APPROVED)
    if refused is not None and refused.event == "refused":
        why = refused.facts.get("why", "")
        return (
            CheckResult(
                "drill.rehearsal", Verdict.UNKNOWN, f"Not rehearsed: {why}", hint="Agree on a time, and start it again."
            ),
        )
    entry, chosen = journal.last(REHEARSED), journal.done(CHOSEN)
    if entry is not None and entry.event == "failed":
        summary = f"The set {(chosen or {}).get('set_id', '')} could not be restored: {entry.facts['why']}"
        seen = Coverage(seen=("clean room",))
        return (
            CheckResult("drill.rehearsal", Verdict.CRITICAL, summary, hint=_AGAIN, coverage=seen),
            _leftovers(journal),
        )
    facts = journal.done(REHEARSED)
    if facts is None or chosen is None:
        summary = "Not rehearsed: the drill did not come to its end."
        return (CheckResult("drill.rehearsal", Verdict.UNKNOWN, summary, hint=_AGAIN), _leftovers(journal))
    intent = journal.done(INTENT) or {}
    return (
        _databases(facts, chosen),
        *_objects(facts),
        _application(facts),
        _health(facts),
        _sabotage(facts),
        _rto(facts, rules),
        *_rpo(facts, chosen, intent, rules),
        _forecast(facts, chosen, rules, past, sizes),
        _approval(journal, intent),
        _leftovers(journal),
    )


def set_sizes(repository: Repository) -> list[tuple[datetime, Size]]:
    """Return when each complete set was taken, and how much it holds."""
    return [
        (
            one.recovery_point,
            Size(
                sum(dump.raw_bytes for dump in one.manifest.databases),
                sum(bucket.objects for bucket in one.manifest.buckets),
            ),
        )
        for one in repository.sets()
        if one.manifest is not None and one.reached(State.COMPLETE)
    ]


def _databases(facts: Mapping[str, Any], chosen: Mapping[str, Any]) -> CheckResult:
    restored = [RestoredDatabase.of_facts(each) for each in facts["databases"]]
    coverage = Coverage(seen=tuple(database.name for database in restored))
    rows = sum(database.rows for database in restored)
    measured = (Measurement("rows", rows), Measurement("databases", len(restored)))
    if wrong := [f"{one.name}: {difference}" for one in restored for difference in one.differences]:
        summary = f"What {chosen['set_id']} holds is NOT what the source held: {' '.join(wrong[:_NAMED])}"
        hint = "Take a full set now (tdev_daily, backup, full), and verify it."
        return CheckResult("drill.databases", Verdict.CRITICAL, summary, measured, hint, coverage)
    if doubts := [f"{one.name}: {one.unprovable}" for one in restored if one.unprovable]:
        return CheckResult("drill.databases", Verdict.UNKNOWN, " ".join(doubts), measured, _AGAIN, coverage)
    summary = (
        f"{', '.join(one.name for one in restored)} of {chosen['set_id']} are equal to their source at the snapshot: "
        f"{counted(rows, 'row')}."
    )
    return CheckResult("drill.databases", Verdict.OK, summary, measured, coverage=coverage)


def _objects(facts: Mapping[str, Any]) -> Iterator[CheckResult]:
    written, damages = bucket_facts(facts)
    coverage = Coverage(seen=tuple(bucket["name"] for bucket in facts["buckets"]))
    measured = (Measurement("objects", written), Measurement("damaged", damages))
    if damages:
        damaged = [one for bucket in facts["buckets"] for one in bucket["damaged"]]
        summary = f"{counted(damages, 'object')} damaged in the set: {' '.join(damaged[:_NAMED])}"
        hint = "Take a full set now (tdev_daily, backup, full); restore those objects from an earlier set."
        yield CheckResult("drill.objects", Verdict.CRITICAL, summary, measured, hint, coverage)
    else:
        summary = f"{counted(written, 'object')} were restored, and every checksum held."
        yield CheckResult("drill.objects", Verdict.OK, summary, measured, coverage=coverage)
    references = facts["references"]
    if references is None:
        return
    coverage = Coverage(seen=("agents",))
    if references["dangling_count"]:
        summary = (
            f"{counted(references['dangling_count'], 'source')} that the restored database refers to is in no bucket: "
            f"{', '.join(references['dangling'][:_NAMED])}."
        )
        yield CheckResult(
            "drill.references", Verdict.CRITICAL, summary, hint="See backup.references.", coverage=coverage
        )
    else:
        summary = f"All {references['expected']:,} sources that the restored database refers to are restored."
        yield CheckResult("drill.references", Verdict.OK, summary, coverage=coverage)


def _application(facts: Mapping[str, Any]) -> CheckResult:
    coverage = Coverage(seen=("application",))
    if facts["unusable"]:
        hint = "Start it by hand on a restored database (tdev restore); drill.application says how the drill does."
        return CheckResult("drill.application", Verdict.CRITICAL, facts["unusable"], hint=hint, coverage=coverage)
    summary = f"The application runs on what was restored: {facts['used']}."
    return CheckResult("drill.application", Verdict.OK, summary, coverage=coverage)


def _health(facts: Mapping[str, Any]) -> CheckResult:
    red, checks = facts["health"], facts["checks"]
    coverage = Coverage(seen=("restored system",) if checks else ())
    measured = (Measurement("checks", checks), Measurement("red", len(red)))
    if red:
        told = " ".join(f"{name} {sentence}" for name, sentence in list(red.items())[:_NAMED])
        hint = "Compare with the live system's own report: what is red there came back with the data."
        return CheckResult(
            "drill.health", Verdict.WARNING, f"Red on the restored system: {told}", measured, hint, coverage
        )
    summary = f"{counted(checks, 'check')} of the daily health check ran on the restored system, none red."
    return CheckResult("drill.health", Verdict.OK, summary, measured, coverage=coverage)


def _sabotage(facts: Mapping[str, Any]) -> CheckResult:
    mutant, name = facts["mutant"], "drill.sabotage"
    if mutant is None:
        summary = "Nothing was sabotaged, so that nobody knows whether damage would have been noticed."
        return CheckResult(name, Verdict.UNKNOWN, summary, hint=_AGAIN)
    coverage = Coverage(seen=(mutant["target"],))
    if not mutant["caught_by"]:
        summary = (
            f"The sabotaged copy ({mutant['name']}: {mutant['target']}) was NOT noticed: the proof proves nothing."
        )
        hint = "Report this as a defect of the product; trust no PROVEN set until it is mended."
        return CheckResult(name, Verdict.CRITICAL, summary, hint=hint, coverage=coverage)
    summary = f"A sabotaged copy ({mutant['name']}: {mutant['target']}) was rejected: {mutant['caught_by']}"
    return CheckResult(name, Verdict.OK, summary, coverage=coverage)


def _rto(facts: Mapping[str, Any], rules: DrillSettings) -> CheckResult:
    phases, objective = facts["phases"], rules.rto_minutes * 60
    seconds, coverage = sum(phases.values()), Coverage(seen=("clean room",))
    measured = (
        Measurement("recovery time", round(seconds, 1), "s", round(_NEAR * objective, 1), objective),
        *(Measurement(phase, round(took, 2), "s") for phase, took in phases.items()),
    )
    if "application" not in phases:
        summary = f"Everything was restored in {span(seconds)}, and no application came up: that is no recovery."
        return CheckResult("drill.rto", Verdict.UNKNOWN, summary, measured, _AGAIN, coverage)
    longest = max(phases, key=lambda phase: phases[phase])
    summary = (
        f"Recovered in {span(seconds)}, of {span(objective)} that the objective allows; {longest} took longest, "
        f"{span(phases[longest])}."
    )
    verdict = _held(seconds, objective)
    return CheckResult("drill.rto", verdict, summary, measured, "" if verdict is Verdict.OK else _LATE, coverage)


def _rpo(
    facts: Mapping[str, Any], chosen: Mapping[str, Any], intent: Mapping[str, Any], rules: DrillSettings
) -> Iterator[CheckResult]:
    disaster = datetime.fromisoformat(intent["disaster_at"])
    point, objective = datetime.fromisoformat(chosen["recovery_point"]), rules.rpo_hours * 3600
    lost, coverage = (disaster - point).total_seconds(), Coverage(seen=(str(chosen["set_id"]),))
    measured = (Measurement("would be lost", round(lost / 3600, 2), "h", None, rules.rpo_hours),)
    summary = (
        f"A disaster at {moment(disaster)} would have lost what was written since {moment(point)}: {span(lost)}, of "
        f"{span(objective)} that the objective allows."
    )
    hint = "See why no newer set is PROVEN (tdev backup list); more sets a day lose less."
    verdict = Verdict.CRITICAL if lost > objective else Verdict.OK
    yield CheckResult("drill.rpo", verdict, summary, measured, hint if verdict.is_red else "", coverage)
    yield _heartbeat(facts, point, rules)


def _heartbeat(facts: Mapping[str, Any], point: datetime, rules: DrillSettings) -> CheckResult:
    name, where = "drill.heartbeat", f"{rules.heartbeat.table}.{rules.heartbeat.column}"
    if facts["heartbeat_at"] is None:
        summary = f"There is no newest row in {where}, so that nobody can check the recovery point by what is restored."
        return CheckResult(
            name,
            Verdict.UNKNOWN,
            summary,
            hint="Name a table that the application writes all the time in drill.heartbeat.",
        )
    newest = datetime.fromisoformat(facts["heartbeat_at"])
    silent, allowed = (point - newest).total_seconds(), rules.heartbeat.silence_minutes * 60
    measured = (Measurement("newest row before the recovery point", round(silent / 60, 1), "min", allowed / 60, None),)
    coverage = Coverage(seen=(where,))
    if silent < -allowed:
        summary = (
            f"The newest row of {where}, of {moment(newest)}, is after the set's recovery point: a clock is wrong."
        )
        return CheckResult(
            name, Verdict.CRITICAL, summary, measured, "Compare the clocks of application and database.", coverage
        )
    if silent > allowed:
        summary = (
            f"The newest restored row of {where} is {span(silent)} older than the recovery point: the application was "
            "silent, or more would be lost than the set says."
        )
        return CheckResult(
            name, Verdict.WARNING, summary, measured, "See whether the application wrote at that time.", coverage
        )
    summary = f"The newest restored row of {where} is {span(abs(silent))} from the recovery point that the set names."
    return CheckResult(name, Verdict.OK, summary, measured, coverage=coverage)


def _forecast(
    facts: Mapping[str, Any],
    chosen: Mapping[str, Any],
    rules: DrillSettings,
    past: Sequence[Evidence],
    sizes: Sequence[tuple[datetime, Size]],
) -> CheckResult:
    this = Timed(Size(int(chosen["database_bytes"]), bucket_facts(facts)[0]), facts["phases"])
    history = [one.timed for one in past if one.proven] + [this]
    return forecast_result(history, rules, sizes)


def forecast_result(
    history: Sequence[Timed], rules: DrillSettings, sizes: Sequence[tuple[datetime, Size]]
) -> CheckResult:
    """Return whether a recovery now, or at the next drill by the sets' growth, would cross the objective."""
    name, objective = "drill.forecast", rules.rto_minutes * 60
    if not history or not sizes:
        return CheckResult(name, Verdict.UNKNOWN, "Without a drill and a set nothing can be foretold.", hint=_AGAIN)
    lines = model(history)
    newest = max(when for when, _ in sizes)
    ahead = grown(sizes, newest + _AHEAD)
    today = sum(forecast(lines, max(sizes, key=lambda each: each[0])[1]).values())
    then = sum(forecast(lines, ahead).values())
    coverage = Coverage(seen=(counted(len(history), "drill"),))
    measured = (
        Measurement("forecast for the newest set", round(today, 1), "s", round(_NEAR * objective, 1), objective),
        Measurement("forecast in 31 days", round(then, 1), "s", round(_NEAR * objective, 1), objective),
        *(
            Measurement(f"{phase} per GB", round(line.per_unit, 2), "s")
            for phase, line in lines.items()
            if phase in ("data", "post_data", "verify")
        ),
    )
    verdict = _held(max(today, then), objective)
    summary = (
        f"The newest set would be recovered in {span(today)}, and what is expected in 31 days in {span(then)}: "
        f"{'more than' if verdict is Verdict.CRITICAL else 'of'} the objective's {span(objective)}."
    )
    return CheckResult(name, verdict, summary, measured, "" if verdict is Verdict.OK else _LATE, coverage)


def _approval(journal: Journal, intent: Mapping[str, Any]) -> CheckResult:
    approved = (journal.done(APPROVED) or {}).get("by", ())
    summary = f"Asked for by {intent.get('asked_by') or 'nobody'}, approved by {', '.join(approved) or 'nobody'}."
    if not approved:
        hint = "It is no evidence for the month; hold one that somebody approves."
        return CheckResult("drill.approval", Verdict.WARNING, summary, hint=hint, coverage=Coverage(seen=("journal",)))
    return CheckResult("drill.approval", Verdict.OK, summary, coverage=Coverage(seen=("journal",)))


def _leftovers(journal: Journal) -> CheckResult:
    cleared = journal.done(CLEARED)
    intent = journal.done(INTENT) or {}
    where = str(intent.get("prefix", ""))
    if cleared is None:
        hint = f"The next drill removes it; by hand: aws s3 rm --recursive s3://<backups bucket>/{where}"
        return CheckResult(
            "drill.leftovers",
            Verdict.CRITICAL,
            f"What was made below {where} is still there.",
            hint=hint,
            coverage=Coverage(seen=("journal",)),
        )
    summary = f"{counted(cleared['removed'], 'scratch object')} removed; server and application went with the drill."
    return CheckResult("drill.leftovers", Verdict.OK, summary, coverage=Coverage(seen=(where,)))


def _held(seconds: float, objective: float) -> Verdict:
    if seconds > objective:
        return Verdict.CRITICAL
    return Verdict.WARNING if seconds > _NEAR * objective else Verdict.OK
