"""evolution.generation_age."""

import pytest

from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.health.evolution import generation_age
from tdev_operators.core.verdicts import Verdict

FROM_THE_FUTURE = "UPDATE evolution_history SET timestamp = now() + interval '5 days' WHERE generation = 1"


@pytest.mark.parametrize(("shift", "verdict"), [(0.1, Verdict.OK), (1.6, Verdict.WARNING), (2.1, Verdict.CRITICAL)])
def test_age_of_the_last_generation(ports, shipped, history, tell, shift, verdict):
    history.run(tell(shift=shift))
    result = generation_age.check(ports(database=history.look), shipped)
    assert result.verdict is verdict
    assert f"Generation 24 was first recorded {shift * 60:.0f} min ago" in result.summary
    assert ("stalled" in result.summary) is (verdict is Verdict.CRITICAL)


def test_an_engine_that_repeats_its_last_generation_is_stalled(ports, shipped, history, tell):
    again = "SELECT gen_random_uuid(), id, 24, 0.5, true, now() - minutes * interval '1 minute'"
    history.run(
        tell(shift=3),
        "INSERT INTO evolution_history (id, agent_id, generation, fitness_score, constraints_met, timestamp) "
        f"{again} FROM agents, generate_series(0, 170, 10) AS minutes",
    )
    result = generation_age.check(ports(database=history.look), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert "Generation 24 was first recorded 180 min ago" in result.summary


MADE = (
    "INSERT INTO evolution_history (id, agent_id, generation, fitness_score, constraints_met, timestamp) "
    "SELECT gen_random_uuid(), id, {}, 0.5, true, now() - interval '{} minutes' FROM agents"
)


def test_an_engine_that_was_resumed_from_a_checkpoint_is_not_stalled(ports, shipped, history, tell):
    history.run(tell(shift=5), *(MADE.format(12 + at, 200 - 60 * at) for at in range(1, 4)))
    result = generation_age.check(ports(database=history.look), shipped)
    assert result.verdict is Verdict.OK
    assert "Generation 15 was recorded 20 min ago" in result.summary
    assert "went back to a checkpoint: its highest generation was 24" in result.summary


def test_long_after_it_was_resumed_it_is_still_not_stalled(ports, shipped, history, tell):
    history.run(tell(shift=100), *(MADE.format(12 + at, 500 - 60 * at) for at in range(1, 9)))
    result = generation_age.check(ports(database=history.look), shipped)
    assert result.verdict is Verdict.OK
    assert "Generation 20 was recorded 20 min ago" in result.summary


def test_one_that_was_resumed_and_stands_again_is_stalled(ports, shipped, history, tell):
    history.run(tell(shift=5), *(MADE.format(13, 10 * at) for at in range(20)))
    result = generation_age.check(ports(database=history.look), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert "The evolution is stalled: Generation 13 was recorded 190 min ago" in result.summary


def test_one_that_makes_the_same_generations_again_and_again_is_stalled(ports, shipped, history, tell):
    history.run(tell(shift=5), *(MADE.format(13 + at % 3, 10 + 20 * at) for at in range(16)))
    result = generation_age.check(ports(database=history.look), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert "Generation 24 was first recorded 300 min ago" in result.summary
    assert "The engine went back " in result.summary


def test_no_generation_is_unknown(ports, shipped, history):
    assert generation_age.check(ports(database=history.look), shipped).verdict is Verdict.UNKNOWN


def test_rows_from_the_future_do_not_hide_a_stall(ports, shipped, history, tell):
    history.run(tell(shift=3), FROM_THE_FUTURE)
    result = generation_age.check(ports(database=history.look), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert "2 rows of evolution_history lie in the future" in result.summary


def test_rows_from_the_future_are_not_green(ports, shipped, history, tell):
    history.run(tell(), FROM_THE_FUTURE)
    assert generation_age.check(ports(database=history.look), shipped).verdict is Verdict.UNKNOWN


def test_hidden_rows_are_not_judged(ports, shipped, history, tell):
    history.run(tell(), "ALTER TABLE evolution_history ENABLE ROW LEVEL SECURITY")
    with pytest.raises(AccessDeniedError, match="Row security"):
        generation_age.check(ports(database=history.look), shipped)
