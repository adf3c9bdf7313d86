"""The day before beside the day after: from counters that only grow, on paper and on real servers."""

from datetime import UTC, datetime, timedelta

import pytest

from sandbox.postgres import Cluster
from tdev_operators.core.database.tuning import effect, sampling
from tdev_operators.core.ledger import Sample
from tests.core.database.tuning.conftest import Tuned
from tests.debian import needs_debian

CHANGE = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
BEGAN = "2026-11-01T00:00:00+00:00"
SELECT = "SELECT * FROM metrics"


def sample(hours, *, moment="look", since=BEGAN, **facts):
    """Counters that grow by the hour: 900 hits, 100 reads, a temporary file of 10 MiB; a statement of 10 ms."""
    return Sample(
        CHANGE + timedelta(hours=hours),
        {
            "moment": moment,
            "since": since,
            "blocks_hit": 900 * (hours + 600),
            "blocks_read": 100 * (hours + 600),
            "temp_files": hours + 600,
            "temp_bytes": (hours + 600) * 10 * 1024**2,
            "checkpoints_timed": 12 * (hours + 600),
            "checkpoints_requested": 0,
            "statements": {"7": [100 * (hours + 600), 10.0, 1.0, SELECT]},
            "api_p95_ms": 20.0,
            "log_p95_ms": 30.0,
            **facts,
        },
    )


def before(**facts):
    return sample(0, moment="before", tuning_id="tuning-1", changes=["work_mem"], **facts)


def judged(samples, now):
    return effect.judge(samples, now, effect_hours=24)


def test_a_day_later_both_days_stand_side_by_side():
    after = sample(24, blocks_hit=900 * 600 + 2400 * 24, temp_files=600, temp_bytes=600 * 10 * 1024**2)
    result = judged([sample(-24), before()], after)
    assert result.verdict == "OK"
    assert (
        "work_mem (tuning-1) was changed at 2026-11-25 04:00 UTC. Nothing became noteworthily worse" in result.summary
    )
    lines = "\n".join(result.details)
    assert "cache hits in %: 90.00 before, 96.00 after" in lines
    assert "temporary files a day: 24.0 before, 0.0 after" in lines
    assert "MiB of temporary files a day: 240.0 before, 0.0 after" in lines
    assert "checkpoints a day by the clock: 288.0 before, 288.0 after" in lines
    assert f"10.00 ± 1.00 ms in 2400 calls -> 10.00 ± 1.00 ms in 2400: {SELECT}" in lines
    assert "API p95 in ms: 20.0 before, 20.0 after" in lines


def test_a_statement_that_became_slower_is_a_warning_with_the_way_back():
    calls = 100 * 624
    mean = (100 * 600 * 10 + 2400 * 30) / calls  # 30 ms since the change
    square = (100 * 600 * (100 + 1) + 2400 * (900 + 4)) / calls
    after = sample(24, statements={"7": [calls, mean, (square - mean**2) ** 0.5, SELECT]}, api_p95_ms=50.0)
    result = judged([sample(-24), before()], after)
    assert result.verdict == "WARNING"
    assert f"«{SELECT}» takes 30.00 ms instead of 10.00" in result.summary
    assert "API p95 in ms rose from 20.0 to 50.0" in result.summary
    assert "-> 30.00 ± 2.00 ms in 2400" in "\n".join(result.details)
    assert "*Undo* = tuning-1" in result.hint


def test_too_early_is_a_note_and_no_change_is_none():
    result = judged([before()], sample(3))
    assert result.verdict == "OK"
    assert "changed 3.0 hours ago: not enough time yet to measure, 24 are needed." in result.summary
    assert judged([sample(-24)], sample(24)).summary.startswith("Nothing was changed in the last month")


def test_without_a_sample_of_the_day_before_all_before_stands_for_it_and_is_called_so():
    result = judged([before()], sample(24))
    assert result.verdict == "OK"
    assert result.details[0].startswith("before: all since the counters began")


def test_missing_data_is_unknown():
    assert judged(None, sample(24)).verdict == "UNKNOWN"
    reset = sample(24, since="2026-11-25T12:00:00+00:00")
    result = judged([sample(-24), before()], reset)
    assert result.verdict == "UNKNOWN"
    assert "the statistics were reset meanwhile" in result.summary
    result = judged([sample(-24), before(statements=None)], sample(24))
    assert result.verdict == "UNKNOWN"
    assert "pg_stat_statements is missing" in result.summary


def test_a_sample_of_a_real_server_without_the_extension(tuned):
    (tuned.logs / "api.log").write_text(
        "".join(
            f"{datetime.now(UTC).isoformat(timespec='milliseconds').replace('+00:00', 'Z')} INFO api GET /agents 200 "
            f"{ms} ms from 127.0.0.1\n"
            for ms in list(range(1, 101)) * 20  # the API's own few lines weigh nothing beside them
        ),
        encoding="utf-8",
    )
    with tuned.ports() as ports:
        taken = sampling.take(ports, tuned.settings(), moment="before")
    assert taken.facts["statements"] is None
    assert 94 <= taken.facts["log_p95_ms"] <= 96
    assert taken.facts["checkpoints_timed"] >= 0
    assert datetime.fromisoformat(taken.facts["since"]) < taken.taken_at


@pytest.fixture(scope="module")
def old(supervisor):
    """PostgreSQL 15 with pg_stat_statements, from Debian."""
    needs_debian("postgresql postgresql-contrib", "/usr/lib/postgresql/15/bin/postgres")
    from pathlib import Path

    made = Tuned(supervisor, "tuned-15", settings={"shared_preload_libraries": "pg_stat_statements"})
    assert isinstance(made.cluster, Cluster)
    made.cluster.binaries = Path("/usr/lib/postgresql/15/bin")
    made.start()
    with made.sql() as sql:
        sql.execute("CREATE SCHEMA odd; CREATE EXTENSION pg_stat_statements SCHEMA odd")
    yield made
    made.stop()


def test_a_change_on_postgresql_15_is_applied_and_its_effect_measured(old):
    with old.sql() as sql:
        for _ in range(30):
            sql.execute("SELECT count(*) FROM metrics")
        sql.execute("/* the application's */ SELECT count(*) FROM agents")
        sql.execute("CREATE ROLE somebody PASSWORD 'hush'")
        sql.execute("DROP ROLE somebody")
    request = old.request(names=("work_mem",))
    old.step(request, "look")
    with old.ports() as ports:
        settings = old.settings()
        first = sampling.take(ports, settings, moment="before", tuning_id=request.tuning_id, changes=["work_mem"])
        texts = [text for *_, text in first.facts["statements"].values()]
        assert "/* the application's */ SELECT count(*) FROM agents" in texts
        assert not [text for text in texts if "CREATE ROLE" in text], "a password stands in such a text"
        old.step(request, "apply")
        assert old.running("work_mem") == "16MB"
        with old.sql() as sql:
            for _ in range(30):
                sql.execute("SELECT count(*) FROM metrics")
        last = sampling.take(ports, settings)
    first = Sample(first.taken_at + timedelta(minutes=2), first.facts)  # younger counters mean nothing
    last = Sample(first.taken_at + timedelta(hours=25), last.facts)
    result = effect.judge([first], last, effect_hours=24)
    assert result.verdict in ("OK", "WARNING"), result.summary
    [line] = [line for line in result.details if line.endswith("SELECT count(*) FROM metrics")]
    assert "ms in 30 calls ->" in line
    assert "ms in 30:" in line
