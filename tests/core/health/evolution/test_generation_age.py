"""evolution.generation_age."""

import pytest

from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.evolution.recovery.decision import is_stalled
from tdev_operators.core.evolution.recovery.diagnosis import generation_state
from tdev_operators.core.evolution.recovery.ports import EvolutionPorts
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
    assert "Generation 15 was recorded 20 min ago, after a step back from 24" in result.summary
    state = generation_state(EvolutionPorts(ports(database=history.look), None, None, None), shipped)
    assert not is_stalled(state, shipped), "the recovery says the same"


def test_long_after_it_was_resumed_it_is_still_not_stalled(ports, shipped, history, tell):
    history.run(tell(shift=200), *(MADE.format(at, 60 * (50 - at)) for at in range(5, 50)))
    result = generation_age.check(ports(database=history.look), shipped)
    assert result.verdict is Verdict.OK
    assert "Generation 49 was first recorded 60 min ago" in result.summary
    history.run("DELETE FROM evolution_history WHERE generation > 20 AND timestamp < now() - interval '30 hours'")
    history.run("UPDATE evolution_history SET generation = 99 WHERE generation = 1")
    result = generation_age.check(ports(database=history.look), shipped)
    assert result.verdict is Verdict.OK
    assert "Generation 49 was recorded 60 min ago, after a step back from 99" in result.summary


def test_rows_that_come_late_are_no_step_back(ports, shipped, history, tell):
    history.run(tell(shift=5), *(MADE.format(12 + at, 200 - 60 * at) for at in range(1, 4)))
    history.run(MADE.format(13, 79), MADE.format(14, 19))
    result = generation_age.check(ports(database=history.look), shipped)
    assert result.verdict is Verdict.OK
    assert "went back" not in result.summary


@pytest.mark.parametrize(
    "made",
    [
        pytest.param([(13, 10 * at) for at in range(20)], id="resumed, and stands again"),
        pytest.param([(5, 1)], id="a stray row"),
        pytest.param([(24, 200), (5, 100), (24, 50)], id="repeats itself, and a stray row"),
    ],
)
def test_one_that_does_not_rise_is_stalled(ports, shipped, history, tell, made):
    history.run(tell(shift=5), *(MADE.format(*one) for one in made))
    result = generation_age.check(ports(database=history.look), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert "The evolution is stalled: Generation 24 was first recorded 300 min ago" in result.summary
    state = generation_state(EvolutionPorts(ports(database=history.look), None, None, None), shipped)
    assert is_stalled(state, shipped), "the recovery says the same"


def test_one_that_makes_the_same_generations_again_and_again_is_stalled(ports, shipped, history, tell):
    history.run(tell(shift=21), *(MADE.format(13 + at % 7, 60 * (20 - at)) for at in range(20)))
    result = generation_age.check(ports(database=history.look), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert "Generation 19 was recorded 840 min ago, after a step back from 24" in result.summary
    assert "The engine went back 3 times lately." in result.summary


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
