"""The whole of Thursday's care, by the role that docs/privileges.md describes and no superuser."""

from dataclasses import replace

import psycopg
import pytest

from tdev_operators.core.database.care.run import care_for_database
from tdev_operators.core.errors import BusyError
from tdev_operators.core.verdicts import CheckResult
from tests.core.database.care.figures import FIGURES, REF, SECTIONS


def care(world, *, dry_run=False) -> dict[str, CheckResult]:
    outcome = care_for_database(
        world.ports,
        world.settings,
        world.ledger,
        world.ref,
        check=lambda: None,
        progress=world.told.append,
        dry_run=dry_run,
    )
    return {one.check: one for one in outcome.results}


def test_the_least_role_does_everything_and_a_retry_finds_nothing_to_do(world, modern):
    modern.execute("DELETE FROM t WHERE n > 30000; SELECT pg_stat_force_next_flush()")
    found = care(world)
    assert {name: str(one.verdict) for name, one in found.items()} == {
        "care.tables": "OK",
        "care.indexes": "OK",
        "care.leftovers": "OK",
        "care.horizon": "OK",
        "care.unused_indexes": "OK",
        "care.duplicate_indexes": "OK",
        "care.foreign_keys": "OK",
    }, found
    assert any("t_thin" in line and "every row found in it" in line for line in found["care.indexes"].details)
    again = care(world)
    assert again["care.indexes"].measurements[1].value == 0


def test_a_dry_run_says_every_statement_and_changes_nothing(world, modern):
    before = modern.execute("SELECT last_vacuum, last_analyze FROM pg_stat_user_tables").fetchall()
    found = care(world, dry_run=True)
    lines = found["care.dry_run"].details
    # What the server has counted by then decides whether it is vacuumed, too; it is always analyzed.
    assert any("ANALYZE" in line and '"public"."t";' in line for line in lines), lines
    assert any(line.startswith('REINDEX INDEX CONCURRENTLY "public"."t_thin";') for line in lines)
    assert modern.execute("SELECT last_vacuum, last_analyze FROM pg_stat_user_tables").fetchall() == before


def test_a_role_that_is_no_member_says_which_grant_is_missing(world, modern):
    modern.execute("REVOKE app FROM app_dba")
    found = care(world)
    assert found["care.tables"].verdict == "UNKNOWN"
    assert "GRANT app TO app_dba;" in found["care.tables"].hint
    assert found["care.indexes"].verdict == "UNKNOWN"
    assert "GRANT app TO app_dba;" in found["care.indexes"].hint


def test_two_runs_do_not_meet(world, modern_database):
    with psycopg.connect(**modern_database, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended('tdev-maintenance care', 0))")
        with pytest.raises(BusyError, match="Another care is at work"):
            care(world)


def test_what_was_left_out_is_first_the_next_time(world, modern, modern_database, changed):
    modern.execute("SET ROLE app; CREATE TABLE u AS SELECT i FROM generate_series(1, 5000) AS i; DELETE FROM u")
    modern.execute("RESET ROLE; SELECT pg_stat_force_next_flush()")
    with psycopg.connect(**modern_database) as other:
        other.execute("LOCK TABLE u IN SHARE MODE")
        found = care(world)
    assert found["care.tables"].verdict == "WARNING"
    assert found["care.tables"].summary.startswith("u got none: pid ")
    figures = {**FIGURES, "always_analyze": ("t", "nowhere"), "workers": 1}
    world.settings = changed(**{**SECTIONS, "care": figures})
    world.told.clear()
    found = care(world)
    assert world.told[1].startswith("1 of 2: u:")
    assert found["care.tables"].verdict == "UNKNOWN"
    assert "nowhere was not looked at (there is no such table that can be analyzed" in found["care.tables"].summary


def test_an_index_that_was_rebuilt_on_an_estimate_is_not_rebuilt_by_the_retry(world, modern, changed):
    modern.execute("DROP EXTENSION pgstattuple")
    # However it is rebuilt, the estimate stays: with so much room left in each page.
    modern.execute("ALTER INDEX t_thin SET (fillfactor = 20)")
    figures = {
        **FIGURES,
        "indexes": {**FIGURES["indexes"], "rebuild_on_estimate": True, "estimated_waste_percent": 1.0},
    }
    world.settings = changed(**{**SECTIONS, "care": figures})
    first = care(world)["care.indexes"]
    assert any("rebuilt in" in line for line in first.details)
    assert not any("rebuilt in" in line for line in care(world)["care.indexes"].details)
    world.ref = replace(REF, run_id="manual__2")
    care(world)


def test_a_disk_that_nobody_can_see_postpones_rebuilds(world, changed):
    world.settings = changed(**{**SECTIONS, "recovery": {"database_host": "t-developer-1"}})
    found = care(world)["care.indexes"]
    assert found.verdict == "WARNING"
    assert "nobody could see whether there is room: recovery.database_host names t-developer-1" in found.summary


def test_young_counters_leave_a_gap_and_a_suspects_table_that_is_dropped_meanwhile_none(world, modern, changed):
    world.settings = changed(**{**SECTIONS, "health": {"database": {"minimum_statistics_age_hours": 24}}})
    found = care(world)["care.tables"]
    assert found.verdict == "UNKNOWN"
    assert "the counters were reset 0." in found.summary


def test_without_the_right_to_see_sessions_nothing_is_rebuilt_and_the_horizon_is_unknown(world, modern):
    modern.execute("REVOKE pg_monitor FROM app_dba")
    modern.execute("GRANT pg_stat_scan_tables TO app_dba")
    try:
        found = care(world)
    finally:
        modern.execute("REVOKE pg_stat_scan_tables FROM app_dba")
    assert found["care.horizon"].verdict == "UNKNOWN"
    assert found["care.indexes"].verdict == "WARNING"
    assert "our role sees only its own sessions; GRANT pg_monitor to it" in found["care.indexes"].summary


def test_a_missing_grant_for_the_look_through_is_said(world, modern):
    modern.execute("REVOKE EXECUTE ON FUNCTION bt_index_check(regclass, boolean) FROM app_dba")
    found = care(world)["care.indexes"]
    assert "Not looked through afterwards: t_thin (GRANT EXECUTE ON FUNCTION bt_index_check" in found.summary
