"""evolution.fitness_trend."""

import pytest

from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.health.evolution import fitness_trend
from tdev_operators.core.verdicts import Verdict


@pytest.mark.parametrize(
    ("fitness", "verdict"),
    [
        ("0.5 + generation * 0.002", Verdict.OK),
        ("0.5", Verdict.OK),
        ("0.5 + (generation % 2) * 0.1 - generation * 0.0001", Verdict.OK),  # falls by less than its noise
        ("0.5 + (generation % 2) * 0.01 - generation * 0.002", Verdict.CRITICAL),
        ("0.5 + (generation % 2) * 0.001 - generation * 0.001", Verdict.WARNING),  # certain, but small
        ("0.5 - 0.01 * sin(generation / 2.0)", Verdict.OK),  # a slow wave: each point follows its neighbours
    ],
)
def test_only_a_significant_fall_is_a_decline(ports, shipped, history, tell, fitness, verdict):
    history.run(tell(fitness=fitness, shift=0.1))
    result = fitness_trend.check(ports(database=history.look), shipped)
    assert result.verdict is verdict
    assert ("declining" in result.summary) is (verdict is not Verdict.OK)
    assert {m.name: m.value for m in result.measurements}["generations"] == 24


def test_too_few_generations_carry_no_trend(ports, shipped, history, tell):
    history.run(tell(fitness="0.9 - generation * 0.03", shift=19.5))
    result = fitness_trend.check(ports(database=history.look), shipped)
    assert result.verdict is Verdict.UNKNOWN
    assert "5 generations in 24 h, 6 needed" in result.summary
    assert result.because_of == "evolution.generation_age"


def test_hidden_rows_are_not_judged(ports, shipped, history, tell):
    history.run(
        tell(),
        "ALTER TABLE evolution_history ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY shown ON evolution_history TO public USING (generation > 10)",
    )
    with pytest.raises(AccessDeniedError, match="Row security"):
        fitness_trend.check(ports(database=history.look), shipped)
