"""What a relief of memory came to, from its evidence and its journal: one result for each host."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tdev_operators.core.memory.check_names import name_of
from tdev_operators.core.memory.plan import Act, is_high, why_none
from tdev_operators.core.memory.relief import APPROVAL, FLOOR, GENERATION, Relief
from tdev_operators.core.memory.seeing import lines_of
from tdev_operators.core.recovery.journal import Entry
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict, worst

_GO_ON = "Clear the red task: it goes on where the journal says."


def results_of(relief: Relief, settings: Settings, unsettled: str = "") -> tuple[CheckResult, ...]:
    """Return the results of a run, however far it came; `unsettled` is why a service could not be started again."""
    kept = relief.seen
    if kept is None:
        summary = "Nothing was touched: no evidence could be kept of how it is."
        hint = "The log of `diagnose` says why in one sentence; start it again."
        seen = Coverage(seen=("the run",))
        return (CheckResult(name_of("evidence"), Verdict.CRITICAL, summary, hint=hint, coverage=seen),)
    acts = relief.acts(kept)
    wanted = relief.request.hosts or tuple(entry.name for entry in settings.hosts)
    found = []
    for name in wanted:
        if name in kept["hosts"]:
            own = [act for act in acts if act.host == name]
            result = _of_host(relief, settings, name, kept["hosts"][name], own)
            found.append(_left_stopped(result, unsettled) if unsettled and own else result)
        else:
            why = kept["failed"].get(name, "it was not asked")
            skipped = Coverage(skipped={name: why})
            summary = f"Nobody knows who holds the memory of {name}: {why}"
            found.append(
                CheckResult(name_of(name), Verdict.UNKNOWN, summary, hint="Mend the way to it.", coverage=skipped)
            )
    return tuple(found)


def _of_host(
    relief: Relief, settings: Settings, name: str, seen: Mapping[str, Any], acts: Sequence[Act]
) -> CheckResult:
    limits = settings.health.infrastructure.memory_used_percent
    figures = [
        Measurement("memory used before", seen["used_percent"], "%", limits.warning, limits.critical),
        Measurement("kernel's caches", seen["reclaimable_percent"], "%"),
    ]
    high = is_high(seen, settings)
    ended = [entry for act in acts if (entry := relief.journal.last(act.step)) is not None]
    done = [entry for entry in ended if entry.event == "done"]
    if done:
        after = done[-1].facts["after_percent"]
        figures.append(Measurement("memory used after", after, "%", limits.warning, limits.critical))
    said = f"{name} used {seen['used_percent']:.1f} % of its memory."
    if not high and not acts:
        verdict, summary, hint = Verdict.OK, f"{said} That is not high: nothing was touched.", ""
    elif not acts:
        verdict, summary, hint = (
            _worse(seen, limits.critical),
            f"{said} {why_none(seen, settings)}",
            "See what it does.",
        )
    elif relief.request.dry_run:
        todo = ", then ".join(act.told for act in acts)
        verdict, summary = Verdict.WARNING, f"Nothing was touched: this is a dry run. {said} To do: {todo}."
        hint = "Start it again without *Dry run*."
    else:
        verdict, summary, hint = _acted(relief, settings, said, acts, ended)
    return CheckResult(
        name_of(name),
        verdict,
        summary,
        measurements=tuple(figures),
        hint=hint,
        coverage=Coverage(seen=(name,)),
        details=(*lines_of(name, seen), f"evidence: {relief.evidence_place}", *_steps(relief)),
    )


def _left_stopped(result: CheckResult, why: str) -> CheckResult:
    summary = f"A service was stopped and could not be started again: {why}"
    hint = "Start it by hand now, on its host; then clear `conclude`."
    return replace(result, verdict=Verdict.CRITICAL, summary=summary, hint=hint)


def _worse(seen: Mapping[str, Any], critical: float) -> Verdict:
    return Verdict.CRITICAL if seen["used_percent"] >= critical else Verdict.WARNING


def _acted(
    relief: Relief, settings: Settings, said: str, acts: Sequence[Act], ended: Sequence[Entry]
) -> tuple[Verdict, str, str]:
    approval = relief.journal.last(APPROVAL)
    if not ended:
        if approval is not None and approval.event == "refused":
            return Verdict.CRITICAL, f"{said} Nothing was touched: {approval.facts['why']}", "Start it again."
        hint = "The log of the red task says why in one sentence; start it again."
        return Verdict.CRITICAL, f"{said} Nothing was touched: it was not begun.", hint
    if len(ended) < len(acts) or any(entry.event == "intended" for entry in ended):
        return Verdict.CRITICAL, f"{said} It is half-done.", _GO_ON
    who = f"asked for by {relief.request.requested_by or 'nobody known'}"
    if approval is not None:
        who += f", approved by {', '.join(approval.facts['by'])}"
    verdicts, sentences = [], [said]
    for act, entry in zip(acts, ended, strict=True):
        if entry.event == "refused":
            sentences.append(f"Not done, as {entry.facts['why']}: {act.told}.")
            verdicts.append(Verdict.OK)
            continue
        before, after = entry.facts["used_percent"], entry.facts["after_percent"]
        sentences.append(f"Done: {act.told}, {before:.1f} % before and {after:.1f} % after; {who}.")
        verdicts.append(_judged(before, after, settings.health.infrastructure.memory_used_percent.warning))
    # The last act says how it is; what did not help by itself was followed by another.
    verdict, hint = verdicts[-1], ""
    if verdict is Verdict.CRITICAL:
        hint = "It did not help: see who holds it, below."
    elif verdict is Verdict.WARNING:
        hint = "It helped, and memory is still high: see who holds it, below, and whether it grows again."
    proof, sentence = _generation(relief)
    engine = settings.evolution.recovery.service
    if any(act.service == engine and entry.event == "done" for act, entry in zip(acts, ended, strict=True)):
        sentences.append(sentence)
        verdict = worst([verdict, proof])
        hint = hint if proof is Verdict.OK else "Start `tdev_recover_evolution`."
    return verdict, " ".join(sentences), hint


def _judged(before: float, after: float, limit: float) -> Verdict:
    if after < limit:
        return Verdict.OK
    return Verdict.WARNING if after < before else Verdict.CRITICAL


def _generation(relief: Relief) -> tuple[Verdict, str]:
    ended = relief.journal.last(GENERATION)
    if ended is None:
        lost = relief.journal.done(FLOOR) is None
        why = "the database did not say where it stood" if lost else "it was not waited for"
        return Verdict.UNKNOWN, f"Nobody knows whether the evolution goes on: {why}."
    if stopped := ended.facts.get("stopped"):
        return Verdict.OK, f"The evolution is {stopped} over the API: no generation was waited for."
    if ended.event == "done":
        return Verdict.OK, f"The evolution goes on: generation {ended.facts['generations'][0]}."
    return Verdict.CRITICAL, f"The evolution does not go on: {ended.facts['why']}"


def _steps(relief: Relief) -> Iterator[str]:
    for entry in relief.journal.entries:
        yield f"{entry.at:%Y-%m-%d %H:%M:%S} UTC  {entry.step}: {entry.event}"
    if relief.journal.entries:
        yield f"journal: {relief.journal.place}"
