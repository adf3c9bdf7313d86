"""Every look of the review, on T-Developer's tables: green when it is well, and red when it is not."""

import importlib
from datetime import timedelta

import pytest

from tdev_operators.core.errors import AccessDeniedError, TargetUnreachableError
from tdev_operators.core.evolution.review.looks import all_looks, is_named
from tdev_operators.core.evolution.review.run import review_evolution
from tdev_operators.core.settings import OutOfScopeSettings
from tdev_operators.core.verdicts import Verdict

OK, WARNING, CRITICAL, UNKNOWN = Verdict.OK, Verdict.WARNING, Verdict.CRITICAL, Verdict.UNKNOWN
NOISE = " + (hashtext(g::text || i) % 1000) / 1000.0 * 0.02 "


def look(name, reviewed):
    module = importlib.import_module(f"tdev_operators.core.evolution.review.looks.{name}")
    return module.look(reviewed.review())


def figures(result):
    return {figure.name: figure.value for figure in result.measurements}


def test_every_look_is_complete_and_has_a_name_for_the_settings():
    names = [each.name for each in all_looks()]
    assert names == sorted(names)
    assert len(names) == 8
    for each in all_looks():
        assert each.about, each.name
        assert each.hint, each.name
        assert is_named(each.name)
    assert is_named("generations.*")
    assert not is_named("generations.luck")


@pytest.mark.parametrize("each", all_looks(), ids=lambda each: each.name)
def test_nothing_recorded_is_never_green(reviewed, each):
    result = each.run(reviewed.review())
    assert result.verdict is UNKNOWN
    assert result.coverage.gap


@pytest.mark.parametrize(
    ("every", "made", "verdict"),
    [("true", 24, OK), ("h > 3 OR h < 1", 22, OK), ("h > 12", 12, WARNING), ("h > 13", 11, CRITICAL)],
)
def test_pace_counts_what_was_due(reviewed, every, made, verdict):
    reviewed.tell(every=every)
    result = look("pace", reviewed)
    assert figures(result)["generations made in 24 h"] == made
    assert f"{made} of 24 generations" in result.summary
    assert "24 the day before, 24 the same day a week ago" in result.summary
    if made == 22:
        assert result.verdict is WARNING
        assert "2 generations without history: 358 to 359." in result.summary
    else:
        assert result.verdict is verdict
    assert len(result.series[0].points) in (12, 13)


def test_a_young_system_owes_only_what_it_could_make(reviewed):
    reviewed.tell(days=0.25)
    result = look("pace", reviewed)
    assert result.verdict is OK
    assert "5 were due" not in result.summary
    assert figures(result)["generations due in 24 h"] == 5
    assert "there is nothing to compare with" in result.summary


@pytest.mark.parametrize(
    ("seconds", "verdict", "words"),
    [
        ("60 + g % 7", OK, "takes 63 s"),
        ("CASE WHEN h < 24 THEN 3 ELSE 1 END * (60 + g % 7)", WARNING, "3.0 times the usual"),
        ("CASE WHEN h < 24 THEN 11 ELSE 1 END * (60 + g % 7)", CRITICAL, "times the usual"),
        ("3000 + g % 7", WARNING, "one is due every 60 min"),
        ("3590 + g % 7", WARNING, "one is due every 60 min"),
        ("CASE WHEN h < 24 AND g % 9 = 0 THEN 3000 ELSE 60 + g % 7 END", OK, ""),  # a few slow ones are no trend
    ],
)
def test_duration_is_held_against_interval_and_usual(reviewed, seconds, verdict, words):
    reviewed.tell(seconds=seconds)
    result = look("duration", reviewed)
    assert result.verdict is verdict, result.summary
    assert words in result.summary


def test_a_median_that_chance_moved_is_not_slower(reviewed):
    chance = "CASE WHEN g % 24 < 11 THEN 10 ELSE 1000 END"  # 13 long ones of 24, before them 49 of 100
    reviewed.tell(seconds=f"CASE WHEN h < 24 THEN {chance} WHEN g % 100 < 51 THEN 10 ELSE 1000 END")
    result = look("duration", reviewed)
    assert figures(result)["times the median before"] > 10
    assert result.verdict is OK, result.summary


def test_generations_of_one_moment_have_no_duration(reviewed):
    reviewed.tell(seconds="0")
    result = look("duration", reviewed)
    assert result.verdict is UNKNOWN
    assert "0 generations of the last 24 h bear more than one moment, 12 needed" in result.summary


@pytest.mark.parametrize(
    ("fitness", "verdict", "words"),
    [
        ("0.6 + g * 0.0003", OK, ""),
        ("0.6 + least(g, n - 72) * 0.0005 - greatest(0, g - n + 72) * 0.002", WARNING, "Its course changed"),
        ("0.6 - CASE WHEN h < 48 THEN 0.08 ELSE 0 END", WARNING, "with a step of -0.0"),
        ("0.6 - CASE WHEN h < 240 THEN 0.08 ELSE 0 END", OK, "Its course changed"),  # known for longer than a week
        ("0.6 + CASE WHEN h < 48 THEN 0.08 ELSE 0 END", OK, "Its course changed"),
        ("0.6 - CASE WHEN h < 48 THEN 0.004 ELSE 0 END", OK, ""),  # too small to matter
    ],
)
def test_fitness_notes_a_change_of_course(reviewed, fitness, verdict, words):
    reviewed.tell(fitness=fitness + NOISE)
    result = look("fitness", reviewed)
    assert result.verdict is verdict, result.summary
    assert words in result.summary
    if not words:
        assert "course" not in result.summary
    assert [len(each.points) for each in result.series] == [120, 120, 120]


@pytest.mark.parametrize(
    ("fitness", "verdict"),
    [
        ("0.2 * 1.06 ^ (24 - h)", OK),
        ("0.5 * 1.01 ^ (24 - h)", WARNING),
        ("0.5 * 0.98 ^ (24 - h)", CRITICAL),
        ("0.5", WARNING),
    ],
)
def test_improvement_is_held_against_the_goal(reviewed, fitness, verdict):
    reviewed.tell(days=1, fitness=f"({fitness})")
    result = look("improvement", reviewed)
    assert result.verdict is verdict, result.summary
    assert "the goal is 5 %" in result.summary


def test_a_noisy_day_misses_no_goal(reviewed):
    reviewed.limits = {
        "improvement_percent": reviewed.review().settings.evolution.review.improvement_percent.model_copy(
            update={"warning": 0.1, "critical": 0.0}
        )
    }
    reviewed.tell(days=1, fitness="0.5 + (hashtext(g::text) % 1000) / 1000.0 * 0.2")
    assert look("improvement", reviewed).verdict is OK


def genes(reviewed, usage, count=100):
    reviewed.run("TRUNCATE gene_pool")
    reviewed.run(
        "INSERT INTO gene_pool (id, gene_type, gene, fitness_contribution, usage_count) "
        f"SELECT gen_random_uuid(), 'rate', '{{}}', 0.5, {usage} FROM generate_series(1, %(count)s) AS g",
        {"count": count},
    )


@pytest.mark.parametrize(
    ("usage", "verdict"),
    [("10", OK), ("CASE WHEN g <= 15 THEN 100 ELSE 0 END", WARNING), ("CASE g WHEN 1 THEN 9000 ELSE 1 END", CRITICAL)],
)
def test_diversity_is_held_against_the_size_of_the_pool(reviewed, usage, verdict):
    genes(reviewed, usage)
    result = look("diversity", reviewed)
    assert result.verdict is verdict, result.summary
    assert "no figure of a week ago" in result.summary


@pytest.mark.parametrize(("was", "verdict"), [(110, OK), (150, WARNING), (300, CRITICAL)])
def test_diversity_is_held_against_a_week_ago(reviewed, was, verdict):
    genes(reviewed, "10")
    reviewed.keep("generations.diversity", reviewed.at - timedelta(days=7), {"effective": was, "genes": 400})
    reviewed.keep("generations.diversity", reviewed.at - timedelta(days=1), {"effective": 100, "genes": 400})
    result = look("diversity", reviewed)
    assert result.verdict is verdict, result.summary
    assert len(result.series[0].points) == 3


def test_diversity_without_the_ledger_is_unknown(reviewed):
    genes(reviewed, "10")
    reviewed.ledger.down = True
    with pytest.raises(TargetUnreachableError, match="nothing can be compared"):
        look("diversity", reviewed)


def test_genes_that_nobody_uses_have_no_diversity(reviewed):
    genes(reviewed, "0")
    assert look("diversity", reviewed).verdict is UNKNOWN


def test_violations_are_told_by_kind_with_their_agents(reviewed):
    reviewed.tell(met="i NOT IN (1, 2, 3) OR h > 2")
    reviewed.run("UPDATE agents SET size_kb = 7 WHERE name IN ('agent_1', 'agent_3')")
    reviewed.run("UPDATE agents SET instantiation_us = 3.5 WHERE name IN ('agent_2', 'agent_3', 'agent_9')")
    result = look("constraints", reviewed)
    assert result.verdict is CRITICAL
    told = figures(result)
    assert told["constraint violations in 24 h"] == 6
    assert (
        told["violations: too large"],
        told["violations: too slow"],
        told["violations: too large and too slow"],
    ) == (
        2,
        2,
        2,
    )
    assert "0 the day before" in result.summary
    assert "by agent_1 (2), agent_2 (2), agent_3 (2)" in result.summary
    assert "4 registered agents beyond a limit" in result.summary
    assert "agent_9: registered, too slow" in result.details


def test_no_violation_is_well(reviewed):
    reviewed.tell()
    result = look("constraints", reviewed)
    assert (result.verdict, result.coverage.seen) == (OK, ("evolution_history", "agents"))


def test_violations_of_an_agent_within_its_limits_have_no_known_kind(reviewed):
    reviewed.tell(met="NOT (i = 4 AND h < 1)")
    assert "1 of a kind that the registry does not show; by agent_4 (1)" in look("constraints", reviewed).summary


MUTATED = (
    "CASE (i + g) % 5 WHEN 0 THEN ARRAY['bad', 'bad'] WHEN 1 THEN ARRAY['good'] WHEN 2 THEN ARRAY['idle'] ELSE '{}' END"
)


@pytest.mark.parametrize(("loss", "verdict"), [(0.005, OK), (0.03, WARNING), (0.2, CRITICAL)])
def test_mutations_that_hurt_are_named(reviewed, loss, verdict):
    effect = f" + CASE (i + g) % 5 WHEN 0 THEN -{loss} WHEN 1 THEN 0.03 ELSE 0 END"
    reviewed.tell(mutations=MUTATED, fitness="0.3 + g * 0.001" + effect + NOISE)
    result = look("mutations", reviewed)
    assert result.verdict is verdict, result.summary
    if verdict is not OK:
        assert "The mutation bad (-" in result.summary
    lines = {line.partition(" ")[0]: line for line in result.details}
    assert set(lines) == {"bad", "good", "idle"}
    assert "the week before" in lines["bad"]
    # Twice in one array is once.
    assert "10 agents" in lines["bad"]


def test_without_unmutated_evaluations_a_mutation_is_held_against_the_others(reviewed):
    reviewed.tell(
        mutations="CASE (i + g) % 2 WHEN 0 THEN ARRAY['bad'] ELSE ARRAY['idle'] END",
        fitness="0.5 - CASE (i + g) % 2 WHEN 0 THEN 0.05 ELSE 0 END" + NOISE,
    )
    assert look("mutations", reviewed).summary.startswith("The mutation bad (-0.0")


def test_progress_of_all_is_no_merit_of_a_mutation(reviewed):
    late = "CASE WHEN h < 84 AND i < 6 THEN ARRAY['late'] ELSE ARRAY['other'] END"
    reviewed.tell(mutations=late, fitness="0.2 + g * 0.002" + NOISE)
    reviewed.limits = {"mutation_minimum": 50}
    assert look("mutations", reviewed).summary == "None of 2 mutations certainly helps or hurts."


def test_a_few_good_agents_do_not_make_their_mutation_good(reviewed):
    own = "CASE WHEN i < 5 THEN ARRAY['theirs'] ELSE '{}' END"
    reviewed.tell(
        mutations=own, fitness="0.5 + CASE i WHEN 1 THEN 0.1 WHEN 2 THEN 0.08 ELSE 0.02 * (i % 3) END" + NOISE
    )
    result = look("mutations", reviewed)
    assert "None of 1 mutations certainly" in result.summary, "five agents are five witnesses, however often they ran"


def test_one_odd_number_costs_neither_memory_nor_the_other_looks(reviewed):
    reviewed.tell()
    reviewed.run(
        "UPDATE evolution_history SET generation = 2147483647 WHERE generation = 360 AND agent_id IN "
        "(SELECT id FROM agents WHERE name = 'agent_0')"
    )
    result = look("pace", reviewed)
    assert result.verdict is WARNING
    assert "2,147,483,286 generations without history: 361 to 2147483646" in result.summary.replace(
        "2147483286", "2,147,483,286"
    )


def test_rare_mutations_are_not_judged(reviewed):
    reviewed.tell(mutations="CASE WHEN h < 2 THEN ARRAY['rare'] ELSE '{}' END")
    result = look("mutations", reviewed)
    assert result.verdict is UNKNOWN
    assert "none has 100 evaluations" in result.summary


def evaluations(reviewed, cost):
    reviewed.tell()
    reviewed.run(
        "INSERT INTO fitness_tracking (agent_id, generation, fitness_score, performance_metrics, timestamp) "
        f"SELECT agent_id, generation, fitness_score, {cost}, timestamp FROM evolution_history"
    )


TODAY = "timestamp > now() - interval '24 hours'"


@pytest.mark.parametrize(
    ("cost", "verdict", "words"),
    [
        ("""'{"duration_ms": 40}'""", OK, "cost 9,600 ms, 40 ms each (9,600 the day before"),
        (f"jsonb_build_object('duration_ms', CASE WHEN {TODAY} THEN 90 ELSE 40 END)", WARNING, "90 ms each"),
        (f"jsonb_build_object('duration_ms', CASE WHEN {TODAY} THEN 900 ELSE 40 END)", CRITICAL, "900 ms each"),
        ("""'{"duration": 40}'""", UNKNOWN, "0 of 240 evaluations say duration_ms"),
        ("""'{"duration_ms": "40"}'""", UNKNOWN, "0 of 240"),
        ("jsonb_build_object('duration_ms', CASE WHEN generation % 2 = 0 THEN 40 END)", UNKNOWN, "120 of 240"),
    ],
)
def test_costs_are_held_against_the_days_before(reviewed, cost, verdict, words):
    evaluations(reviewed, cost)
    result = look("costs", reviewed)
    assert result.verdict is verdict, result.summary
    assert words in result.summary


def test_hidden_rows_are_not_judged(reviewed):
    reviewed.tell()
    reviewed.run("ALTER TABLE evolution_history ENABLE ROW LEVEL SECURITY")
    reviewed.run("CREATE POLICY shown ON evolution_history TO public USING (generation > 10)")
    for name in ("pace", "fitness"):
        with pytest.raises(AccessDeniedError, match="Row security"):
            look(name, reviewed)


def test_the_whole_review_goes_on_when_a_look_cannot(reviewed):
    reviewed.tell(fitness="0.6" + NOISE, mutations=MUTATED)
    reviewed.run("DROP TABLE gene_pool")
    review = reviewed.review()
    off = OutOfScopeSettings(check="generations.costs", reason="nobody pays", owner="Engineering")
    settings = review.settings.model_copy(update={"out_of_scope": (off,)})
    lines = []
    outcome = review_evolution(review.system, reviewed.ledger, settings, progress=lines.append)
    verdicts = {result.check.partition(".")[2]: result.verdict for result in outcome.results}
    assert verdicts.pop("diversity") is UNKNOWN
    assert verdicts.pop("improvement") is WARNING
    assert set(verdicts) == {"pace", "duration", "fitness", "constraints", "mutations"}
    assert set(verdicts.values()) == {OK}, outcome.results
    assert [entry.check for entry in outcome.out_of_scope] == ["generations.costs"]
    assert len(lines) == 7


def test_a_stalled_evolution_is_the_cause_of_what_cannot_be_judged(reviewed):
    reviewed.tell(every="h > 24")
    review = reviewed.review()
    outcome = review_evolution(review.system, reviewed.ledger, review.settings, progress=lambda _line: None)
    by_name = {result.check: result for result in outcome.results}
    assert by_name["generations.pace"].verdict is CRITICAL
    for name in ("duration", "fitness", "improvement", "constraints"):
        assert by_name[f"generations.{name}"].because_of == "generations.pace"
    assert by_name["generations.diversity"].because_of == ""


def test_a_pace_that_is_well_explains_nothing(reviewed):
    reviewed.tell(seconds="0")
    review = reviewed.review()
    outcome = review_evolution(review.system, reviewed.ledger, review.settings, progress=lambda _line: None)
    by_name = {result.check: result for result in outcome.results}
    assert by_name["generations.pace"].verdict is OK
    assert by_name["generations.duration"].verdict is UNKNOWN
    assert by_name["generations.duration"].because_of == ""
