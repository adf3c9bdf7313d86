"""Which mutations help and which hurt."""

from dataclasses import replace

from tdev_operators.core.evolution.review.reading import Review
from tdev_operators.core.evolution.review.statistics import Effect, effects
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.verdicts import CheckResult, Verdict

HINT = "Lower the rate of the mutations that hurt, and look in evolution_history at what they did to their agents."


def look(review: Review) -> CheckResult:
    """Hold, for each mutation, the fitness of the agents that had it against that of agents without any.

    Each fitness is taken relative to its own generation's mean, so that a mutation is not praised for the progress of
    all. Only what is certain after the correction for many comparisons is said to help or to hurt.
    """
    findings = Findings("generations.mutations")
    limits = review.settings.evolution.review
    week = review.mutations(weeks_ago=0)
    compared = week.compared(limits.mutation_minimum)
    findings.measure("evaluations in a week", week.whole.evaluations)
    findings.measure("mutations judged", len(compared))
    if not compared:
        findings.skip(
            "mutations",
            f"none has {limits.mutation_minimum} evaluations of five agents with it and without it in a week",
        )
        return findings.conclude("There is too little to judge.", because_of="generations.pace")
    findings.saw(*(name for name, *_ in compared))
    before = effects(review.mutations(weeks_ago=1).compared(limits.mutation_minimum))
    last_week = {each.mutation: each.difference for each in before}
    found = effects(compared)
    certain = [each for each in found if 100 * (1 - each.p_value) >= limits.confidence_percent]
    hurting = [each for each in certain if each.difference < 0]
    helping = [each for each in reversed(certain) if each.difference > 0]
    for each in hurting:
        verdict = findings.measure(f"loss by {each.mutation}", round(-each.difference, 4), "", limits.mutation_loss)
        if verdict is not Verdict.OK:
            findings.found(verdict, f"The mutation {_told(each)} hurts the fitness.")
    parts = [f"{word} {', '.join(map(_told, some))}" for word, some in (("help:", helping), ("hurt:", hurting)) if some]
    sentence = "; ".join(parts) or f"None of {len(compared)} mutations certainly helps or hurts."
    details = tuple(
        f"{_told(each)}, {each.agents} agents, p = {each.p_value:.3f}"
        + (f"; {last_week[each.mutation]:+.4f} the week before" if each.mutation in last_week else "")
        for each in found
    )
    return replace(findings.conclude(sentence[:1].upper() + sentence[1:].rstrip(".") + "."), details=details)


def _told(effect: Effect) -> str:
    return f"{effect.mutation} ({effect.difference:+.4f})"
