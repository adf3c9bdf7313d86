"""What a recovery came to, from its evidence and its journal: four results."""

from collections.abc import Iterator

from tdev_operators.core.evolution.recovery import check_names
from tdev_operators.core.evolution.recovery.decision import Decision, RecoveryRequest, decide
from tdev_operators.core.evolution.recovery.diagnosis import Diagnosis
from tdev_operators.core.evolution.recovery.evidence_lines import evidence_lines
from tdev_operators.core.evolution.recovery.recover import APPROVAL, CHECKPOINT, CURE, LOCKS, RESUME, Recovery
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

_SEEN = Coverage(seen=("the evolution",))
_SENTENCES = 3


def results_of(recovery: Recovery, settings: Settings, unsettled: str = "") -> tuple[CheckResult, ...]:
    """Return the results of a run, however far it came; `unsettled` is why an engine could not be started again."""
    found, request, journal = recovery.seen, recovery.request, recovery.journal
    if found is None:
        summary = "Nothing was touched: no evidence could be kept of how it is."
        hint = "The log of `diagnose` says why in one sentence; start it again."
        return (CheckResult(check_names.CURE, Verdict.CRITICAL, summary, hint=hint, coverage=_SEEN),)
    decision = decide(found, settings, request)
    results = [_cure(recovery, found, decision, settings, unsettled), _diagnosis(recovery, found, settings)]
    if (locks := journal.done(LOCKS)) is not None:
        results.append(_locks(locks["cleared"], locks["kept"]))
    if (chosen := journal.done(CHECKPOINT)) is not None:
        results.append(_checkpoint(journal, chosen["skipped"]))
    return tuple(results)


def _cure(recovery: Recovery, found: Diagnosis, decision: Decision, settings: Settings, unsettled: str) -> CheckResult:
    figures = _age_figures(found, settings)
    verdict, summary, hint = _outcome(recovery, decision)
    if unsettled:
        verdict, summary = Verdict.CRITICAL, f"The engine was stopped and could not be started again: {unsettled}"
        hint = "Start it by hand now, on its host; then clear `conclude`."
    return CheckResult(
        check_names.CURE,
        verdict,
        summary,
        measurements=figures,
        hint=hint,
        coverage=_SEEN,
        details=tuple(_steps(recovery)),
    )


def _outcome(recovery: Recovery, decision: Decision) -> tuple[Verdict, str, str]:
    request, journal = recovery.request, recovery.journal
    if request.dry_run:
        return _dry(decision)
    if not decision.go:
        if decision.stalled is False:
            return Verdict.OK, f"Nothing was touched. {decision.why}", ""
        verdict = Verdict.UNKNOWN if decision.stalled is None else Verdict.CRITICAL
        return verdict, f"Nothing was touched. {decision.why}", decision.todo
    who = _who(journal, request)
    ended = journal.last(CURE)
    if ended is not None and ended.event == "done":
        if by_itself := ended.facts.get("by_itself"):
            return Verdict.OK, by_itself, ""
        came = " and ".join(ended.facts["generations"])
        return Verdict.OK, f"Cured: generation {came}; {who}. Before: {decision.why}", ""
    if ended is not None:
        return Verdict.CRITICAL, f"Not cured. {ended.facts['why']} Before: {decision.why}", ended.facts["todo"]
    approval = journal.last(APPROVAL)
    if approval is not None and approval.event == "refused":
        return Verdict.CRITICAL, f"Nothing was touched: {approval.facts['why']} {decision.why}", "Start it again."
    if journal.done(LOCKS) is None and not recovery.is_half_done:
        hint = "The log of the red task says why in one sentence; start it again."
        return Verdict.CRITICAL, f"Nothing was touched: it was not begun. {decision.why}", hint
    hint = "Clear the red task: it goes on where the journal says."
    return Verdict.CRITICAL, f"Half-done: nobody knows yet whether it is cured. {decision.why}", hint


def _dry(decision: Decision) -> tuple[Verdict, str, str]:
    if decision.stalled is False and not decision.go:
        return Verdict.OK, f"Nothing was touched: this is a dry run. {decision.why}", ""
    if decision.go:
        hint = "Start it again without *Dry run*: the engine is restarted, and its next generations are waited for."
        return Verdict.WARNING, f"Nothing was touched: this is a dry run. {decision.why}", hint
    verdict = Verdict.UNKNOWN if decision.stalled is None else Verdict.WARNING
    return verdict, f"Nothing was touched: this is a dry run. {decision.why}", decision.todo


def _who(journal: Journal, request: RecoveryRequest) -> str:
    who = f"asked for by {request.requested_by or 'nobody known'}"
    approved = (journal.done(APPROVAL) or {}).get("by")
    return f"{who}, approved by {', '.join(approved)}" if approved else who


def _age_figures(found: Diagnosis, settings: Settings) -> tuple[Measurement, ...]:
    state = found.generation
    if state is None or state["age_seconds"] is None:
        return ()
    limit = settings.evolution.stalled_after_seconds
    return (Measurement("age of the last generation, before", round(state["age_seconds"], 1), "s", critical=limit),)


def _steps(recovery: Recovery) -> Iterator[str]:
    for entry in recovery.journal.entries:
        yield f"{entry.at:%Y-%m-%d %H:%M:%S} UTC  {entry.step}: {entry.event}"
    if recovery.journal.entries:
        yield f"journal: {recovery.journal.place}"


def _diagnosis(recovery: Recovery, found: Diagnosis, settings: Settings) -> CheckResult:
    summary = f"Seen at {found.taken_at[:19]} UTC, before anything was touched; kept in {recovery.evidence_place}."
    errors = sum(part["lines"] for name, part in found.parts.items() if name.startswith("errors "))
    busy = [part for name, part in found.parts.items() if name.startswith("host ")]
    figures = [Measurement(f"lines of errors in {settings.evolution.recovery.errors_minutes:g} min", errors)]
    if busy:
        figures.append(Measurement("CPU of the busiest host", max(part["cpu_percent"] for part in busy), "%"))
        figures.append(
            Measurement("memory of the fullest host", max(part["memory_used_percent"] for part in busy), "%")
        )
    return CheckResult(
        check_names.DIAGNOSIS,
        Verdict.OK,
        summary,
        measurements=tuple(figures),
        hint="Mend the way to what was not seen." if found.failed else "",
        coverage=Coverage(seen=tuple(found.parts), skipped=dict(found.failed)),
        details=tuple(evidence_lines(found)),
    )


def _locks(cleared: list[str], kept: list[str]) -> CheckResult:
    if not cleared and not kept:
        return CheckResult(check_names.LOCKS, Verdict.OK, "No engine left a lock behind.", coverage=_SEEN)
    counted = f"{len(cleared)} cleared, {len(kept)} left alone."
    return CheckResult(
        check_names.LOCKS,
        Verdict.WARNING if kept else Verdict.OK,
        " ".join([counted, *(_sentence(line) for line in kept[:_SENTENCES])]),
        hint="What stays was not proven to be a dead engine's; end it by hand when you know that it is."
        if kept
        else "",
        coverage=_SEEN,
        details=(*cleared, *kept),
    )


def _checkpoint(journal: Journal, skipped: list[str]) -> CheckResult:
    resumed = journal.last(RESUME)
    refused = list(resumed.facts["refused"]) if resumed else []
    if resumed is None:
        verdict, summary = Verdict.WARNING, "The evolution was not resumed over the API yet."
    elif resumed.event == "failed":
        verdict, summary = Verdict.WARNING, "The API resumed the evolution from no checkpoint."
    elif not resumed.facts["checkpoint"]:
        verdict, summary = Verdict.WARNING, "No checkpoint could be used: it went on from where the database stands."
    else:
        verdict = Verdict.WARNING if skipped or refused else Verdict.OK
        summary = f"Resumed from {resumed.facts['checkpoint']}."
    return CheckResult(
        check_names.CHECKPOINTS,
        verdict,
        " ".join([summary, *(_sentence(line) for line in [*skipped, *refused][:_SENTENCES])]),
        hint="See who writes such checkpoints, and keep them for that." if skipped else "",
        coverage=_SEEN,
        details=(*skipped, *refused),
    )


def _sentence(line: str) -> str:
    return f"{line.rstrip('.')}."
