"""agents.sources."""

import pytest

from tdev_operators.core.errors import AccessDeniedError, TargetTimeoutError
from tdev_operators.core.health.agents import sources
from tdev_operators.core.verdicts import Verdict

TWO = {"a": (1.8, 1.0), "a-b": (1.8, 1.0)}


def test_registry_and_bucket_agree(registry, shipped):
    result = sources.check(registry(TWO), shipped)
    assert result.verdict is Verdict.OK
    assert result.coverage.seen == ("agents", "s3://t-developer-agents")


def test_an_agent_without_source_is_critical(registry, shipped, source):
    result = sources.check(registry(TWO, {"a/1.0.0.py": source}), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert result.summary == "1 of 2 agents lack their source in t-developer-agents: a-b/1.0.0.py."


def test_a_source_without_agent_is_a_warning(registry, shipped, source):
    stored = {f"{name}/1.0.0.py": source for name in ("a", "a-b", "z")}
    result = sources.check(registry(TWO, stored), shipped)
    assert result.verdict is Verdict.WARNING
    assert "1 sources in t-developer-agents belong to no agent: z/1.0.0.py" in result.summary


def test_a_flood_of_sources_without_agent_is_counted(registry, shipped, source):
    stored = {**{f"z{n:04}": b"" for n in range(2500)}, **{f"{name}/1.0.0.py": source for name in TWO}}
    result = sources.check(registry(TWO, stored), shipped)
    assert result.verdict is Verdict.WARNING
    assert "2500 sources in t-developer-agents belong to no agent: z0000, z0001, z0002 and 2497 more." in result.summary


def test_the_key_is_a_setting(registry, change, source):
    settings = change({"health.agents.source_key": "v{version}/{name}"})
    assert sources.check(registry({"a": (1, 1)}, {"v1.0.0/a": source}), settings).verdict is Verdict.OK


def test_an_agent_born_between_the_two_looks_is_no_finding(registry, shipped, source, fakes):
    system = registry({"a": (1, 1)}, {"a/1.0.0.py": source, "new/1.0.0.py": source})
    row = {"name": "a", "version": "1.0.0", "size_kb": 1.0, "instantiation_us": 1.0, "rows_hidden": False}
    looks = iter([[row], [row, {**row, "name": "new"}]])
    system.database.answer = lambda _: next(looks)
    assert sources.check(system, shipped).verdict is Verdict.OK


def test_an_empty_registry_is_unknown(registry, shipped):
    assert sources.check(registry({}, {}), shipped).verdict is Verdict.UNKNOWN


def test_hidden_rows_and_a_silent_store_raise(registry, shipped):
    system = registry(TWO)
    system.objects.error = TargetTimeoutError("Silence.")
    with pytest.raises(TargetTimeoutError):
        sources.check(system, shipped)
    system.database.answer[0]["rows_hidden"] = True
    with pytest.raises(AccessDeniedError):
        sources.check(system, shipped)


def test_against_the_real_tables(arena, t_developer_schema, ports, shipped, fakes, source):
    arena.run(
        t_developer_schema,
        "INSERT INTO agents (id, name, version, size_kb, instantiation_us, fitness_score) "
        "SELECT gen_random_uuid(), 'agent_' || n, '1.0.0', 2, 1, 0.5 FROM generate_series(1, 1000) n",
    )
    stored = {f"agent_{n}/1.0.0.py": source for n in range(1, 1000)}
    result = sources.check(ports(database=arena.look, objects=fakes.Objects({"t-developer-agents": stored})), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert "1 of 1000 agents" in result.summary
    assert "agent_1000/1.0.0.py" in result.summary
