"""How diverse the gene pool is."""

from collections import defaultdict
from dataclasses import replace

from tdev_operators.core.evolution.review.reading import Review
from tdev_operators.core.evolution.review.statistics import effective_number
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.ledger import Sample
from tdev_operators.core.series import Point, Series, thinned
from tdev_operators.core.verdicts import CheckResult, worst

HINT = (
    "A pool that a few genes rule no longer searches: raise the mutation rate, or bring in genes from an older "
    "checkpoint; `gene_pool ORDER BY usage_count DESC` shows who rules."
)
KIND = "generations.diversity"
_WEEK_HOURS = 7 * 24
_SLACK_HOURS = 12


def look(review: Review) -> CheckResult:
    """Hold the effective number of genes against the size of the pool, and against a week ago by the ledger.

    The effective number is e to Shannon's entropy of how often genes are used: as many equally used ones would be as
    diverse. What is measured is kept for the next weeks.
    """
    findings = Findings("generations.diversity")
    limits = review.settings.evolution.review
    rows = review.rows("gene_pool")
    genes = sum(row["genes"] for row in rows)
    if not genes or not any(row["usage_count"] for row in rows):
        findings.skip("gene_pool", "it holds no gene that was ever used" if genes else "it is empty")
        return findings.conclude("There is no diversity to measure.")
    findings.saw("gene_pool")
    number = effective_number([row["usage_count"] for row in rows], [row["genes"] for row in rows])
    percent = 100 * number / genes
    before = review.samples(KIND)
    review.ledger.keep_sample(
        review.settings.system.name, KIND, Sample(review.at, {"effective": number, "genes": genes})
    )
    old = [each for each in before if (review.at - each.taken_at).total_seconds() / 3600 >= _WEEK_HOURS - _SLACK_HOURS]
    was = float(old[-1].facts["effective"]) if old else 0.0
    sentence = f"The pool of {genes:,} genes is as diverse as {number:,.0f} that are used alike ({percent:.0f} %); " + (
        f"as {was:,.0f} on {old[-1].taken_at:%Y-%m-%d}." if old else "there is no figure of a week ago yet."
    )
    findings.measure("effective number of genes", round(number, 1))
    findings.measure("genes", genes)
    verdict = findings.measure("effective of all genes", round(percent, 1), "%", limits.diversity_percent)
    if was:
        lost = round(max(0.0, 100 * (1 - number / was)), 1)
        verdict = worst([verdict, findings.measure("lost in a week", lost, "%", limits.diversity_loss_percent)])
    findings.found(verdict, sentence)
    points = [Point(each.taken_at, float(each.facts["effective"])) for each in before] + [Point(review.at, number)]
    by_type: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row in rows:
        by_type[row["gene_type"]].append((row["usage_count"], row["genes"]))
    details = tuple(
        f"{kind}: {sum(genes for _, genes in each):,} genes, as diverse as "
        f"{effective_number(*zip(*each, strict=True)):,.0f}"
        for kind, each in sorted(by_type.items())
    )
    series = Series("effective number of genes", "", thinned(points))
    return replace(findings.conclude(sentence), details=details, series=(series,))
