"""The weekly look at a real server, by a role of few rights."""

import pytest

from tdev_operators.core.database.tuning.weekly import compare
from tdev_operators.core.errors import TargetUnreachableError


@pytest.fixture
def found(tuned):
    """Look, and return the results by their check."""

    def look(**changes):
        settings = tuned.settings(**changes.pop("tuning", {}))
        with tuned.ports(settings, **changes) as ports:
            outcome = compare(ports, settings, tuned.ledger)
        return {result.check: result for result in outcome.results}

    return look


def test_drift_is_a_warning_with_the_whole_triangle(found):
    results = found()
    database = results["tuning.database"]
    assert database.verdict == "WARNING"
    assert "work_mem is 4MB and not the recommended 16MB." in database.summary
    assert "tdev_apply_tuning" in database.hint
    assert "maintenance window" in database.hint, "shared_buffers needs a restart"
    lines = "\n".join(database.details)
    assert "setting               recommended  in the file" in lines
    assert "shared_buffers        160MB        128MB (postgresql.conf:" in lines
    assert "max_connections       200          200 (sandbox.conf:1)" in lines
    assert "as recommended" in lines
    assert results["tuning.file_errors"].verdict == "OK"
    assert any(line.startswith("void: postgresql.conf:") for line in results["tuning.file_errors"].details)


def test_what_is_as_recommended_is_green(found):
    results = found(tuning={"database": {"max_connections": 200, "work_mem": "4096kB", "autovacuum": True}})
    assert results["tuning.database"].verdict == "OK"
    assert results["tuning.database"].summary == "All 3 recommended settings run."


def test_a_value_that_waits_for_a_restart_or_a_reload_is_told_apart(tuned, found):
    with tuned.sql() as sql:
        sql.execute("ALTER SYSTEM SET shared_buffers = '160MB'")
        sql.execute("ALTER SYSTEM SET work_mem = '16MB'")
    results = found()
    database = results["tuning.database"]
    assert "shared_buffers is 160MB in the file and 128MB runs until the server is restarted." in database.summary
    assert "work_mem is 16MB in the file and 4MB runs until the files are read again." in database.summary
    assert database.measurements[1].value == 1
    assert results["tuning.file_errors"].verdict == "OK", "a value that only waits is no fault"


def test_a_value_that_the_file_no_longer_has_is_about_to_fade(tuned, found):
    with tuned.sql() as sql:
        sql.execute("ALTER SYSTEM SET work_mem = '16MB'")
        sql.execute("SELECT pg_reload_conf()")
        while tuned.running("work_mem") != "16MB":
            pass
        sql.execute("ALTER SYSTEM RESET work_mem")
    assert "work_mem = 16MB runs as recommended, but the files say -." in found()["tuning.database"].summary


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("work_mem = '4 apples'", "work_mem = '4 apples': setting could not be applied."),
        ("shared_buffers = 'plenty'", "shared_buffers = 'plenty': setting could not be applied."),
        ("no_such_setting = 1", "no_such_setting = '1': unrecognized configuration parameter."),
        ("work_mem = = 1", "syntax error"),
        ("ssl_passphrase_secret = 'hush'", "ssl_passphrase_secret = ***: unrecognized configuration parameter."),
    ],
)
def test_a_line_with_a_fault_is_critical_and_named(tuned, found, fault, says):
    bad = tuned.cluster.data / "sandbox.conf"
    whole = bad.read_text(encoding="utf-8")
    bad.write_text(f"{whole}{fault}\n", encoding="utf-8")
    try:
        result = found()["tuning.file_errors"]
    finally:
        bad.write_text(whole, encoding="utf-8")
    assert result.verdict == "CRITICAL"
    assert says in result.summary
    assert "sandbox.conf:" in result.summary
    assert "would not start again" in result.summary


def test_files_that_may_not_be_read_are_unknown_with_the_grant(tuned, found):
    with tuned.sql() as sql:
        sql.execute("REVOKE EXECUTE ON FUNCTION pg_show_all_file_settings() FROM dba")
    try:
        results = found(tuning={"database": {"max_connections": 200}})
    finally:
        with tuned.sql() as sql:
            sql.execute("GRANT EXECUTE ON FUNCTION pg_show_all_file_settings() TO dba")
    for check in ("tuning.database", "tuning.file_errors"):
        assert results[check].verdict == "UNKNOWN"
        assert 'GRANT EXECUTE ON FUNCTION pg_show_all_file_settings() TO "dba"' in results[check].summary


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("wrok_mem", "16MB", "PostgreSQL 18 has no setting wrok_mem; did you mean work_mem?"),
        ("work_mem", "16 apples", "work_mem = '16 apples' has a unit that it cannot have with one of the units B"),
        ("work_mem", "1kB", "work_mem = '1kB' is out of range; give a value from 64kB"),
        ("block_size", 8192, "block_size cannot be set"),
    ],
)
def test_a_recommendation_that_cannot_be_is_unknown_in_one_sentence(found, name, value, says):
    result = found(tuning={"database": {name: value, "max_connections": 200}})["tuning.database"]
    assert result.verdict == "UNKNOWN"
    assert says in result.coverage.skipped[name]


def test_more_than_the_hosts_memory_is_flagged(found):
    result = found(tuning={"database": {"shared_buffers": "4000GB"}})["tuning.database"]
    assert result.verdict == "WARNING"
    assert "more than 40 % of the host's" in result.summary


def test_a_host_that_nobody_can_ask_leaves_the_memory_unknown(found):
    result = found(tuning={"database": {"max_connections": 200}}, host=None)["tuning.database"]
    assert result.verdict == "UNKNOWN"
    assert "recovery.database_host is empty" in result.summary


def test_an_override_is_said_with_what_takes_it_away(tuned, found):
    with tuned.sql() as sql:
        sql.execute("ALTER ROLE dba SET work_mem = '1MB'")
    result = found()["tuning.database"]
    assert "work_mem is 1MB for us, by ALTER ROLE or ALTER DATABASE" in result.summary
    assert any('ALTER ROLE "dba" RESET work_mem;' in line for line in result.details)


def test_a_value_that_our_own_session_brings_is_judged_by_the_file(tuned, found):
    recommended = {"statement_timeout": "30s"}
    assert (
        "statement_timeout is 0 and not the recommended 30s."
        in found(tuning={"database": recommended})["tuning.database"].summary
    )
    with tuned.sql() as sql:
        sql.execute("ALTER SYSTEM SET statement_timeout = '0.5min'")
    assert found(tuning={"database": recommended})["tuning.database"].verdict == "OK"


@pytest.mark.parametrize("managed", ["rds", "patroni"])
def test_files_of_somebody_else_are_unknown_and_may_be_switched_off(tuned, found, managed):
    with tuned.sql() as sql:
        sql.execute("REVOKE EXECUTE ON FUNCTION pg_show_all_file_settings() FROM dba")
    try:
        results = found(tuning={"managed": managed, "database": {"max_connections": 200}}, host=None)
    finally:
        with tuned.sql() as sql:
            sql.execute("GRANT EXECUTE ON FUNCTION pg_show_all_file_settings() TO dba")
    assert results["tuning.database"].verdict == "OK"
    assert results["tuning.file_errors"].verdict == "UNKNOWN"
    assert "[[out_of_scope]]" in results["tuning.file_errors"].hint


def test_rds_is_known_by_its_role(tuned):
    assert not tuned.seen().server.is_rds
    with tuned.sql() as sql:
        sql.execute("CREATE ROLE rds_superuser")
    try:
        assert tuned.seen().server.is_rds
    finally:
        with tuned.sql() as sql:
            sql.execute("DROP ROLE rds_superuser")


def test_pools_that_do_not_fit_are_critical(found):
    pools = found()["tuning.pools"]
    assert pools.verdict == "OK"
    assert "1000 clients in (its max_connections) and pools them into 100 connections" in pools.summary
    assert "200 (PostgreSQL's max_connections), and 123 are needed" in pools.summary
    pools = found(tuning={"application_instances": 2})["tuning.pools"]
    assert pools.verdict == "CRITICAL"
    assert "23 clients will be refused under load" in pools.summary
    assert found(tuning={"database": {"max_connections": 100}})["tuning.pools"].verdict == "WARNING"


def test_the_application_is_asked_and_its_drift_told(found):
    result = found()["tuning.application"]
    assert result.verdict == "WARNING"
    assert result.summary == "cache_ttl is 60 and not the recommended 300."


def test_an_application_that_is_silent_is_unknown_and_the_rest_is_looked_at(found):
    class Silent:
        name = "api"

        def get(self, path):
            raise TargetUnreachableError("The API cannot be reached.")

    results = found(application=Silent())
    assert results["tuning.application"].verdict == "UNKNOWN"
    assert results["tuning.pools"].verdict == "UNKNOWN", "its figures are those of the settings"
    assert results["tuning.database"].verdict == "WARNING"


def test_a_part_that_is_switched_off_is_out_of_scope(tuned):
    settings = tuned.settings()
    off = settings.out_of_scope[0].model_copy(update={"check": "tuning.application"})
    settings = settings.model_copy(update={"out_of_scope": (off,)})
    with tuned.ports(settings) as ports:
        outcome = compare(ports, settings, tuned.ledger)
    assert "tuning.application" not in {result.check for result in outcome.results}
    assert outcome.out_of_scope[0].check == "tuning.application"


def test_without_a_change_there_is_no_effect_and_a_sample_is_kept(tuned, found):
    assert found()["tuning.effect"].verdict == "OK"
    samples = tuned.ledger.samples("t-developer", "tuning_effect", replace_year(2020))
    assert samples[-1].facts["blocks_hit"] > 0
    assert samples[-1].facts["api_p95_ms"] > 0


def replace_year(year):
    from datetime import UTC, datetime

    return datetime(year, 1, 1, tzinfo=UTC)
