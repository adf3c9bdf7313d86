"""agents.limits."""

import pytest

from tdev_operators.core.health.agents import limits
from tdev_operators.core.verdicts import Verdict


def test_all_within(registry, shipped):
    assert limits.check(registry({"a": (1.8, 3.0), "b": (1.8, 0.1)}), shipped).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("size", "speed", "words"),
    [(6.6, 1.0, "1 agents are above 6.5 KB: a 1.0.0 (6.60 KB)."), (1.8, 3.1, "1 agents take more than 3 us")],
)
def test_above_a_limit_by_registry_is_critical(registry, shipped, size, speed, words):
    result = limits.check(registry({"a": (size, speed)}), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert words in result.summary


def test_above_the_limit_in_the_bucket_only_is_critical(registry, shipped):
    result = limits.check(registry({"a": (1.8, 1.0)}, {"a/1.0.0.py": b"#" * 7000}), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert "a 1.0.0 (6.84 KB)" in result.summary


def test_another_size_than_registered_is_a_warning(registry, shipped):
    result = limits.check(registry({"a": (3.0, 1.0)}), shipped)
    assert result.verdict is Verdict.WARNING
    assert "3.00 KB registered, 1.78 KB stored" in result.summary


def test_kb_of_a_thousand_bytes_are_tolerated(registry, shipped):
    assert limits.check(registry({"a": (6.5, 1.0)}, {"a/1.0.0.py": b"#" * 6500}), shipped).verdict is Verdict.OK


def test_what_was_never_measured_is_unknown(registry, shipped):
    result = limits.check(registry({"a": (1.8, None), "b": (1.8, 1.0)}), shipped)
    assert result.verdict is Verdict.UNKNOWN
    assert "never measured: a 1.0.0" in result.summary


@pytest.mark.parametrize("column", ["size_kb", "instantiation_us"])
def test_nan_in_the_registry_was_never_measured(arena, t_developer_schema, ports, shipped, fakes, column):
    arena.run(
        t_developer_schema,
        "INSERT INTO agents (id, name, version, size_kb, instantiation_us, fitness_score) "
        "VALUES (gen_random_uuid(), 'a', '1.0.0', 1, 1, 0.5)",
        f"UPDATE agents SET {column} = 'NaN'",
    )
    store = fakes.Objects({"t-developer-agents": {"a/1.0.0.py": b"#" * 1024}})
    result = limits.check(ports(database=arena.look, objects=store), shipped)
    assert result.verdict is Verdict.UNKNOWN
    assert "never measured: a 1.0.0" in result.summary


def test_no_agents_is_unknown(registry, shipped):
    assert limits.check(registry({}), shipped).verdict is Verdict.UNKNOWN
