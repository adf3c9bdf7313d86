"""What is recommended is applied, proven and taken back, on a real server, by a role of few rights."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tdev_operators.core.database.tuning import application
from tdev_operators.core.database.tuning.statements import alter_system_text, elsewhere
from tdev_operators.core.errors import (
    AccessDeniedError,
    BusyError,
    InputError,
    ProofFailedError,
    TargetTimeoutError,
    TargetUnreachableError,
)

RELOADED = ("work_mem", "maintenance_work_mem")


def test_drift_is_applied_proven_and_taken_back(tuned):
    with tuned.sql() as sql:
        sql.execute("ALTER SYSTEM SET work_mem = '5MB'")  # somebody's own, which undo brings back
        sql.execute("SELECT pg_reload_conf()")
    noted = []
    request = tuned.request()
    lines = tuned.step(request, "look")
    assert (
        "ALTER SYSTEM SET \"work_mem\" = '16MB';  -- 5MB runs; way back: ALTER SYSTEM SET \"work_mem\" = '5MB';"
        in lines
    )
    assert "SELECT pg_reload_conf();" in lines
    assert "left out: shared_buffers differs and is of the kind 'restart', which was not asked for." in lines
    tuned.step(request, "apply", note=lambda event, facts: noted.append((event, facts["setting"])))
    assert noted == [("tuning_set", "work_mem"), ("tuning_set", "maintenance_work_mem")]
    assert [tuned.running(name) for name in RELOADED] == ["16MB", "256MB"]
    result = tuned.step(request, "result")
    assert result.verdict == "OK"
    assert "work_mem, maintenance_work_mem are in force, proven; asked for by lead." in result.summary
    back = tuned.undo(request)
    assert back.verdict == "OK"
    assert back.summary.startswith(f"work_mem, maintenance_work_mem are as before {request.tuning_id}, proven;")
    assert tuned.running("work_mem") == "5MB"
    assert tuned.running("maintenance_work_mem") == "64MB"
    assert "maintenance_work_mem" not in tuned.auto, "it was not there before"
    assert tuned.step(tuned.request(undo=request.tuning_id), "look") == ["Nothing is to be changed."], "once is enough"


def test_a_dry_run_prints_the_statements_and_leaves_no_trace(tuned):
    before = tuned.auto
    request = tuned.request(dry_run=True, restart=True, application=True)
    lines = tuned.step(request, "look")
    assert any(line.startswith("ALTER SYSTEM SET \"shared_buffers\" = '160MB';") for line in lines)
    assert "application: cache_ttl = 300 (now 60)" in lines
    assert tuned.auto == before
    with tuned.run(request) as tuning:
        assert tuning.journal.entries == ()


def test_only_what_was_named_is_changed(tuned):
    request = tuned.request(names=("work_mem",))
    assert tuned.all_steps(request).verdict == "OK"
    assert tuned.running("work_mem") == "16MB"
    assert tuned.running("maintenance_work_mem") == "64MB"


@pytest.mark.parametrize(
    ("tuning", "names", "says"),
    [
        ({"database": {"work_mem": "16 apples"}}, ("work_mem",), "has a unit that it cannot have"),
        ({"database": {"wrok_mem": "16MB"}}, ("wrok_mem",), "did you mean work_mem?"),
        ({}, ("cache_size",), r"cache_size is in neither \[tuning.database\] nor \[tuning.application\]"),
        ({"managed": "rds"}, (), "files belong to rds"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence_before_anything_is_touched(tuned, tuning, names, says):
    before = tuned.auto
    with pytest.raises(InputError, match=says):
        tuned.step(tuned.request(names=names), "look", settings=tuned.settings(**tuning))
    assert tuned.auto == before


def test_a_grant_that_is_missing_is_named(tuned):
    recommended = {"database": {"temp_buffers": "16MB"}}
    with pytest.raises(AccessDeniedError, match='GRANT ALTER SYSTEM ON PARAMETER temp_buffers TO "dba"'):
        tuned.step(tuned.request(), "look", settings=tuned.settings(**recommended))
    with tuned.sql() as sql:
        sql.execute("REVOKE EXECUTE ON FUNCTION pg_reload_conf() FROM dba")
    try:
        with pytest.raises(AccessDeniedError, match=r'GRANT EXECUTE ON FUNCTION pg_reload_conf\(\) TO "dba"'):
            tuned.step(tuned.request(), "look")
    finally:
        with tuned.sql() as sql:
            sql.execute("GRANT EXECUTE ON FUNCTION pg_reload_conf() TO dba")
    with tuned.sql() as sql:
        sql.execute("REVOKE EXECUTE ON FUNCTION pg_show_all_file_settings() FROM dba")
    try:
        with pytest.raises(AccessDeniedError, match="Nobody could say what to take it back to"):
            tuned.step(tuned.request(), "look")
    finally:
        with tuned.sql() as sql:
            sql.execute("GRANT EXECUTE ON FUNCTION pg_show_all_file_settings() TO dba")


def test_with_alter_system_switched_off_the_change_is_printed(tuned):
    conf = tuned.cluster.data / "sandbox.conf"
    whole = conf.read_text(encoding="utf-8")
    conf.write_text(f"{whole}allow_alter_system = off\n", encoding="utf-8")
    with tuned.sql() as sql:
        sql.execute("SELECT pg_reload_conf()")
    try:
        lines = tuned.step(tuned.request(dry_run=True), "look")
        assert any(
            line.startswith("in the file that the server's configuration comes from: work_mem") for line in lines
        )
        with pytest.raises(InputError, match="allow_alter_system is off"):
            tuned.step(tuned.request(), "look")
    finally:
        conf.write_text(whole, encoding="utf-8")
        with tuned.sql() as sql:
            sql.execute("SELECT pg_reload_conf()")


def test_a_file_with_a_fault_is_mended_first(tuned):
    conf = tuned.cluster.data / "sandbox.conf"
    whole = conf.read_text(encoding="utf-8")
    conf.write_text(f"{whole}no_such_setting = 1\n", encoding="utf-8")
    try:
        with pytest.raises(InputError, match=r"sandbox.conf:\d+ has a fault \(no_such_setting"):
            tuned.step(tuned.request(), "look")
    finally:
        conf.write_text(whole, encoding="utf-8")


def test_what_alter_role_decides_is_left_to_whoever_did_it(tuned):
    with tuned.sql() as sql:
        sql.execute("ALTER ROLE dba SET work_mem = '1MB'")
    with pytest.raises(InputError, match="work_mem is decided by ALTER ROLE or ALTER DATABASE"):
        tuned.step(tuned.request(names=("work_mem",)), "look")


def test_a_value_that_does_not_come_into_force_is_taken_back(tuned, monkeypatch):
    request = tuned.request(names=("work_mem",))
    tuned.step(request, "look")
    conf = tuned.cluster.data / "sandbox.conf"
    whole = conf.read_text(encoding="utf-8")
    conf.write_text(f"{whole}no_such_setting = 1\n", encoding="utf-8")  # with it, a reload changes nothing
    try:
        with pytest.raises(InputError, match=r"sandbox\.conf:\d+ has a fault"):
            tuned.step(request, "apply")
        assert "work_mem" not in tuned.auto
        # As if it came right after that look.
        monkeypatch.setattr("tdev_operators.core.database.tuning.preflight.refusals", lambda *_: [])
        with pytest.raises(ProofFailedError, match=r"what was set is taken back|still says"):
            tuned.step(request, "apply", settings=tuned.settings(prove_seconds=1.0))
    finally:
        conf.write_text(whole, encoding="utf-8")
    assert "work_mem" not in tuned.auto
    result = tuned.step(request, "result")
    assert result.verdict == "CRITICAL"
    assert "work_mem was taken back" in result.summary


def test_what_somebody_wrote_and_nobody_reloaded_is_not_put_into_force(tuned):
    with tuned.sql() as sql:
        sql.execute("ALTER SYSTEM SET log_statement = 'all'")
    with pytest.raises(InputError, match=r"says log_statement = 'all', which nobody has reloaded yet"):
        tuned.step(tuned.request(names=("work_mem",)), "look")
    with tuned.sql() as sql:
        sql.execute("SELECT pg_reload_conf()")
    tuned.step(tuned.request(names=("work_mem",)), "look")


def test_the_way_back_of_a_setting_needs_no_application(tuned):
    request = tuned.request(names=("work_mem",))
    tuned.all_steps(request)
    back = tuned.request(undo=request.tuning_id)
    away = {"application": Away()}
    for step in ("look", "apply"):
        tuned.step(back, step, ports=away)
    assert tuned.running("work_mem") == "4MB"


class Away:
    """An application that the change brought down."""

    def __getattr__(self, _name):
        raise TargetUnreachableError("The application is away.")


def test_somebody_else_s_change_in_between_is_not_overwritten(tuned):
    request = tuned.request(names=("work_mem",))
    tuned.step(request, "look")
    with tuned.sql() as sql:
        sql.execute("ALTER SYSTEM SET work_mem = '7MB'")
    with pytest.raises(BusyError, match="work_mem became '7MB'"):
        tuned.step(request, "apply")


def test_a_change_that_somebody_changed_since_is_not_taken_back(tuned):
    request = tuned.request(names=("work_mem",))
    tuned.all_steps(request)
    with tuned.sql() as sql:
        sql.execute("ALTER SYSTEM SET work_mem = '7MB'")
    with pytest.raises(InputError, match="work_mem is '7MB' by now, and not the '16MB'"):
        tuned.step(tuned.request(undo=request.tuning_id), "look")


def test_an_unknown_run_cannot_be_taken_back(tuned):
    with pytest.raises(InputError, match="There is no run tuning-nothing that changed anything"):
        tuned.step(tuned.request(undo="tuning-nothing"), "look")


def test_a_list_keeps_its_elements_apart(tuned):
    with tuned.sql() as sql:
        sql.execute("GRANT ALTER SYSTEM ON PARAMETER search_path TO dba")
    settings = tuned.settings(database={"search_path": '"$user", public, "odd, name"'})
    request = tuned.request()
    assert tuned.all_steps(request, settings=settings).verdict == "OK"
    with tuned.sql() as sql:
        assert sql.execute("SHOW search_path").fetchone()[0] == '"$user", public, "odd, name"'
        sql.execute("SELECT pg_reload_conf()")
    tuned.undo(request)
    assert "search_path" not in tuned.auto


def test_what_our_session_hides_is_proven_by_the_files(tuned):
    with tuned.sql() as sql:
        sql.execute("GRANT ALTER SYSTEM ON PARAMETER statement_timeout TO dba")
    request = tuned.request()
    assert tuned.all_steps(request, settings=tuned.settings(database={"statement_timeout": "1h"})).verdict == "OK"
    assert tuned.running("statement_timeout") == "1h"


@pytest.mark.seeded
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_around_alter_system_the_retry_finishes_and_undo_knows_the_former_value(tuned, moment):
    with tuned.sql() as sql:
        sql.execute("ALTER SYSTEM SET work_mem = '5MB'")
        sql.execute("SELECT pg_reload_conf()")
    request = tuned.request(names=("work_mem",))
    tuned.step(request, "look")
    environment = {**os.environ, **tuned.environment, "TDEV_SETTINGS": str(tuned.settings_file)}
    argv = [sys.executable, Path(__file__).with_name("killed.py"), request.tuning_id, moment]
    ended = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert ("16MB" in tuned.auto) is (moment == "after")
    assert tuned.running("work_mem") == "5MB", "it was killed before the reload"
    assert "half-done" in tuned.step(request, "result").summary
    tuned.step(request, "apply")
    assert tuned.running("work_mem") == "16MB"
    assert tuned.step(request, "result").verdict == "OK"
    assert tuned.undo(request).verdict == "OK"
    assert tuned.running("work_mem") == "5MB"


@pytest.mark.faults
def test_what_was_done_half_can_be_taken_back_without_finishing_it(tuned):
    request = tuned.request(names=("work_mem",))
    tuned.step(request, "look")
    environment = {**os.environ, **tuned.environment, "TDEV_SETTINGS": str(tuned.settings_file)}
    argv = [sys.executable, Path(__file__).with_name("killed.py"), request.tuning_id, "after"]
    assert subprocess.run(argv, env=environment, check=False, capture_output=True).returncode == -signal.SIGKILL
    assert tuned.undo(request).verdict == "OK"
    assert "work_mem" not in tuned.auto


def test_the_application_is_changed_proven_and_taken_back(tuned):
    request = tuned.request(reload=False, application=True)
    assert tuned.all_steps(request).verdict == "OK"
    with tuned.ports() as ports:
        assert application.configuration(ports.application, tuned.settings().tuning)["cache_ttl"] == 300
    assert tuned.undo(request).verdict == "OK"
    with tuned.ports() as ports:
        assert application.configuration(ports.application, tuned.settings().tuning)["cache_ttl"] == 60


def test_an_application_that_refuses_a_value_is_quoted(tuned):
    settings = tuned.settings(application={"cache_ttl": "long"})
    request = tuned.request(reload=False, application=True)
    with pytest.raises(InputError, match=r"refused .* with status 422"):
        tuned.all_steps(request, settings=settings)


def test_an_application_that_takes_a_value_and_ignores_it_is_found_out(tuned):
    class Forgetful:
        name = "api"

        def __init__(self, real):
            self.real = real

        def get(self, path):
            return self.real.get(path)

        def patch(self, path, body):
            return self.real.get(path)

    request = tuned.request(reload=False, application=True)
    with tuned.ports() as ports:
        forgetful = {"application": Forgetful(ports.application)}
        with pytest.raises(ProofFailedError, match=r"tells \{'cache_ttl': 60\} afterwards"):
            tuned.all_steps(request, ports=forgetful)


def test_a_sample_is_taken_once_before_the_change(tuned):
    taken = []
    request = tuned.request(names=("work_mem",))
    tuned.step(request, "look")
    for _ in range(2):
        with tuned.run(request) as tuning:
            tuning.apply(lambda: taken.append(tuned.running("work_mem")))
    assert taken == ["4MB"]


def test_two_runs_keep_each_other_out(tuned):
    from tdev_operators.core.database.alone import alone

    with alone(tuned.source, "tuning"), pytest.raises(BusyError, match="Another tuning is at work"):
        tuned.step(tuned.request(), "look")


@pytest.mark.parametrize(
    ("owner", "says"),
    [
        ("rds", "aws rds modify-db-parameter-group --db-parameter-group-name <group>"),
        ("patroni", "patronictl edit-config <cluster> --pg 'work_mem=16MB' --force"),
    ],
)
def test_where_the_files_are_somebody_else_s_the_dry_run_prints_how(tuned, owner, says):
    lines = tuned.step(tuned.request(dry_run=True), "look", settings=tuned.settings(managed=owner))
    assert any(line.startswith(says) for line in lines)
    assert any("files belong to" in line for line in lines)


def test_the_words_of_a_statement_are_quoted():
    assert alter_system_text("work_mem", "16MB'; DROP") == "ALTER SYSTEM SET \"work_mem\" = '16MB''; DROP';"
    assert alter_system_text("auto_explain.log_analyze", None) == 'ALTER SYSTEM RESET "auto_explain"."log_analyze";'
    assert "pending-reboot" in elsewhere("rds", "shared_buffers", "4GB", needs_restart=True)
    assert elsewhere("patroni", "shared_buffers", "4GB", needs_restart=True).endswith("patronictl restart <cluster>")


def test_an_api_that_is_too_slow_leaves_the_rest_of_the_run_alone(tuned):
    class Slow:
        name = "api"

        def get(self, path):
            raise TargetTimeoutError("The API did not answer in time.")

    with pytest.raises(TargetTimeoutError):
        tuned.step(tuned.request(application=True), "look", ports={"application": Slow()})
    assert "work_mem" not in tuned.auto
