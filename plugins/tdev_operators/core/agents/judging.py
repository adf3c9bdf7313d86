"""What a run of the optimiser came to, as results: what was tried, what became smaller, what was left alone and why."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tdev_operators.core.agents.candidates import Candidate
from tdev_operators.core.agents.confinement.house import Held
from tdev_operators.core.agents.confinement.probes import BARRIERS
from tdev_operators.core.agents.ladder import KB, Optimised
from tdev_operators.core.health.findings import some
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

CONFINEMENT, OPTIMISER = "agents.confinement", "agents.optimiser"
_HINT = (
    "An agent that is left alone needs its author, or a smaller successor. `tdev agents undo RUN` puts former sources "
    "back; docs/agents.md says what is proven and what is not."
)
_FIGURES = re.compile(r"\d+(\.\d+)?")
_MOST_LINES = 400


@dataclass(slots=True)
class Work:
    """What there was to do and what became of it, by the source's key. `unwritten` says why what is proven was not.

    `before` is how many an earlier try of the same run had written, `stuck` what a dead run left half-done.
    """

    found: Mapping[str, Candidate]
    done: dict[str, Optimised] = field(default_factory=dict)
    unwritten: dict[str, str] = field(default_factory=dict)
    before: int = 0
    stuck: Mapping[str, str] = field(default_factory=dict)


def confinement_result(held: Held, waiting: int) -> CheckResult:
    """Say whether every barrier holds; where one does not, nothing was executed."""
    details = tuple(f"{name}: {held.broken.get(name) or 'holds'}" for name in BARRIERS)
    measurements = (Measurement("barriers that hold", len(BARRIERS) - len(held.missing)),)
    tool = ", ".join(held.made_of)
    if held.missing:
        left = f" {counted(waiting, 'agent')} stayed as they are." if waiting else ""
        return CheckResult(
            CONFINEMENT,
            Verdict.UNKNOWN,
            f"{held.sentence} No agent's code was executed.{left}",
            measurements,
            hint=held.sentence,
            coverage=Coverage(skipped=dict.fromkeys(held.missing, "this barrier gives way"), tool=tool),
            details=details,
        )
    sentence = f"All {len(BARRIERS)} barriers held against an agent that tries to break out."
    return CheckResult(
        CONFINEMENT,
        Verdict.OK,
        sentence,
        measurements,
        coverage=Coverage(seen=BARRIERS, tool=tool, canary_found=True),
        details=details,
    )


def optimiser_result(work: Work, held: Held, settings: Settings, *, writes: bool) -> CheckResult:
    """Say how many agents became smaller, how many were left alone, and each with its sizes or its reason."""
    smaller = {key: done for key, done in work.done.items() if done.source is not None}
    refused = {key: one.refusal for key, one in work.found.items() if one.refusal and not one.untried}
    refused |= {key: done.refusal for key, done in work.done.items() if done.source is None and not done.untried}
    failed = {key: one.refusal for key, one in work.found.items() if one.untried}
    failed |= {key: done.refusal for key, done in work.done.items() if done.untried}
    untried = [key for key in work.found if key not in work.done and key not in refused and key not in failed]
    written = {key: done for key, done in smaller.items() if key not in work.unwritten} if writes else {}
    before = sum(done.before.source for done in smaller.values())
    after = sum(done.after.source for done in smaller.values())
    near, top = settings.agents.near_limit_kb, settings.agents.max_size_kb
    too_large = [work.found[key].agent.label for key in refused if work.found[key].size_bytes > top * KB]
    earlier = f"An earlier try of this run had written {counted(work.before, 'agent')}." if work.before else ""
    sentences = [_summary(work, smaller, refused, before, after, near)]
    verdict = Verdict.OK
    if work.unwritten or (smaller and not writes):
        verdict = Verdict.WARNING
        why = next(iter(work.unwritten.values()), "nothing is written back, by the settings or by request")
        sentences.append(f"{len(smaller) - len(written)} of them are not written: {why}.")
    if too_large:
        verdict = Verdict.WARNING
        sentences.append(f"{counted(len(too_large), 'agent')} left alone are above {top:g} KB: {some(too_large)}.")
    skipped = {f"{label}, half-done by an earlier run,": why for label, why in work.stuck.items()}
    skipped |= _grouped({work.found[key].agent.label: why for key, why in failed.items()})
    if untried:
        why = held.sentence if held.missing else f"{settings.agents.optimiser.minutes:g} minutes were over"
        skipped[counted(len(untried), "agent")] = why.rstrip(".")
    return CheckResult(
        OPTIMISER,
        verdict,
        " ".join([*sentences, earlier]).strip(),
        (
            Measurement("agents above the limit", len(work.found)),
            Measurement("optimised", len(smaller)),
            Measurement("written", len(written)),
            *((Measurement("written by an earlier try", work.before),) if work.before else ()),
            Measurement("left alone", len(refused)),
            Measurement("not tried", len(untried) + len(failed)),
            Measurement("bytes before", before, "B"),
            Measurement("bytes after", after, "B"),
        ),
        hint=_HINT if refused or work.unwritten else "",
        coverage=Coverage(seen=("agents", f"s3://{settings.buckets.agents}"), skipped=skipped),
        details=tuple(_details(work, smaller, refused, failed)),
    )


def _grouped(failed: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of what could not be tried, together by reason."""
    groups: dict[str, list[str]] = {}
    for label, why in failed.items():
        groups.setdefault(_FIGURES.sub("n", why.partition(" (")[0]), []).append(label)
    return {some(labels): failed[labels[0]].rstrip(".") for labels in groups.values()}


def reasons(refused: Mapping[str, str]) -> Counter[str]:
    """Count the reasons, without the figures and names that differ from agent to agent."""
    return Counter(_FIGURES.sub("n", why.partition(" (")[0]) for why in refused.values())


def _summary(
    work: Work,
    smaller: Mapping[str, Optimised],
    refused: Mapping[str, str],
    before: int,
    after: int,
    near: float,
) -> str:
    if not work.found:
        return f"No agent is above {near:g} KB."
    told = f"{len(smaller)} of {counted(len(work.found), 'agent')} above {near:g} KB became smaller"
    if smaller:
        reached = sum(done.after.source <= near * KB for done in smaller.values())
        told += f" ({before / KB:.1f} to {after / KB:.1f} KB in all, {reached} of them to the limit or below)"
    if refused:
        told += f"; {len(refused)} were left alone: " + ", ".join(
            f"{count} because {why}" for why, count in reasons(refused).most_common(3)
        )
    return f"{told}."


def _details(
    work: Work, smaller: Mapping[str, Optimised], refused: Mapping[str, str], failed: Mapping[str, str]
) -> list[str]:
    lines = []
    for key, done in smaller.items():
        kept = work.unwritten.get(key, "")
        memory = f", {done.before.footprint} to {done.after.footprint} bytes of memory" if done.before.footprint else ""
        timing = f", made in {done.instantiation_us[1]:.2f} us" if done.instantiation_us else ""
        lines.append(
            f"{work.found[key].agent.label}: {done.before.source} to {done.after.source} bytes{memory}{timing}; "
            f"{', '.join(done.passes)}; {done.asked} answers the same over {done.coverage_percent:g} % of its lines"
            f"{f'; not written: {kept}' if kept else ''}"
        )
        lines += [f"    {name} was taken back: {why}" for name, why in done.rolled_back.items()]
    lines += [f"{work.found[key].agent.label}: not tried, because {why}" for key, why in failed.items()]
    lines += [f"{work.found[key].agent.label}: left alone, because {why}" for key, why in refused.items()]
    more = len(lines) - _MOST_LINES
    return [*lines[:_MOST_LINES], *([f"and {more} lines more"] if more > 0 else [])]
