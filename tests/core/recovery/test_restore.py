"""A restore from its request to the services' start, each step by another process."""

import pytest

from tdev_operators.core.errors import AccessDeniedError, BusyError, CommandFailedError, InputError
from tdev_operators.core.recovery import restore as module
from tdev_operators.core.recovery.request import RestoreRequest, recovery_id_of
from tdev_operators.core.verdicts import CheckResult, Verdict

BOTH = ("deputy", "director")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"database": "none"}, "Nothing is to be restored"),
        ({"database": "live", "tables": ("agents",)}, "cannot take the place"),
        ({"database": "live", "new_name": "x"}, "leave its name empty"),
        ({"database": "none", "buckets": ("agents",), "tables": ("agents",)}, "no database is restored"),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(asked, says):
    with pytest.raises(InputError, match=says):
        RestoreRequest("restore-x", **asked)


def test_a_runs_name_is_that_of_its_recovery():
    assert recovery_id_of("restore", "manual__2026-11-29T02:00:00.123+00:00") == (
        "restore-manual-2026-11-29t02-00-00-123-00-00"
    )


def test_a_request_comes_back_from_its_facts():
    request = RestoreRequest("restore-x", buckets=("agents",), overwrite_newer=True)
    assert RestoreRequest.of_facts(request.facts()) == request


def test_the_first_step_decides_on_the_set(day):
    request = day.request()
    with day.restore(request) as restore:
        first = restore.choose()
    newer = day.house.take("later", buckets=("agents",)).manifest
    try:
        with day.restore(request) as restore:
            assert restore.choose().set_id == first.set_id
        with day.restore(day.request(unproven=True)) as restore:
            assert restore.choose().set_id == newer.set_id
            assert "nobody has restored it" in restore.choose().missing
    finally:
        for key in day.house.keys(newer.set_id):
            day.house.client.delete_object(Bucket=day.settings.buckets.backups, Key=key)


def test_two_restores_of_one_set_stand_beside_each_other(day):
    names = []
    for request in (day.request(), day.request()):
        for _ in range(2):
            with day.restore(request) as restore:
                names.append(restore.restore_database().name)
    first = "t_developer_restored_000001"
    assert names == [first, first, f"{first}_2", f"{first}_2"]


def test_one_name_is_one_request(day):
    with day.restore(day.request(recovery_id="restore-same")):
        pass
    with (
        pytest.raises(InputError, match="begun with another request"),
        day.restore(day.request(recovery_id="restore-same", buckets=("agents",))),
    ):
        pass


def restored_objects(day):
    everything = day.house.keys()
    return [key for key in everything if "/restored/" in key]


def test_the_dry_run_says_what_would_happen_and_touches_nothing(day):
    databases, objects = day.names(), restored_objects(day)
    with day.restore(buckets=("agents",), buckets_into="scratch") as restore:
        told = "\n".join(restore.preflight())
    assert "agents -> t-developer-backups/" in told
    assert "missing: written" in told
    assert "GB are free on sandbox" in told
    assert day.names() == databases
    assert restored_objects(day) == objects


@pytest.mark.parametrize("verdict", [Verdict.CRITICAL, Verdict.UNKNOWN])
def test_without_room_nothing_begins(day, monkeypatch, verdict):
    monkeypatch.setattr(module, "room_for", lambda *_: CheckResult("restore.room", verdict, "There is no room."))
    with day.restore(database="live") as restore, pytest.raises(InputError, match="no room"):
        restore.preflight()
    with day.restore() as restore:
        if verdict is Verdict.CRITICAL:
            with pytest.raises(InputError, match="no room"):
                restore.preflight()
        else:
            assert "There is no room." in restore.preflight()


def test_a_database_of_another_size_would_not_fit(day):
    day.changes = {"room_percent": 1e9}
    with day.restore() as restore, pytest.raises(InputError, match="GB are asked for"):
        restore.preflight()


def alive(day):
    return {name: part.running for name, part in day.system.services.items()}


@pytest.fixture
def live(day):
    """The live database is replaced, and put back at the end."""
    parts = day.system.services
    for part in parts.values():
        part.running or part.start()
    with day.system.source.connect("postgres") as connection:
        (oid,) = connection.execute("SELECT oid::bigint FROM pg_database WHERE datname = 't_developer'").fetchone()
    yield oid
    parts["t-developer-api"].stop()
    parts["t-developer-evolution"].stop()
    with day.system.source.connect("postgres") as connection:
        (name,) = connection.execute("SELECT datname FROM pg_database WHERE oid = %s", (oid,)).fetchone()
        if name != "t_developer":
            connection.execute("DROP DATABASE t_developer WITH (FORCE)")
            connection.execute(f"ALTER DATABASE {name} RENAME TO t_developer")
        connection.execute("ALTER DATABASE t_developer ALLOW_CONNECTIONS true")
    parts["t-developer-api"].start()


def oid_of(day, name):
    with day.system.source.connect("postgres") as connection:
        row = connection.execute("SELECT oid::bigint FROM pg_database WHERE datname = %s", (name,)).fetchone()
        return row and row[0]


@pytest.mark.seeded
@pytest.mark.parametrize("people", [[], ["deputy"], ["deputy", "deputy"], ["deputy", "lead"], ["deputy", "somebody"]])
def test_too_few_approvals_keep_the_live_database(day, live, people):
    with day.restore(database="live", no_safety_set=True) as restore:
        with pytest.raises(AccessDeniedError, match="needs 2 approvals"):
            restore.note_approvals(people)
        with pytest.raises(AccessDeniedError, match="approved so far: nobody"):
            restore.replace_live()
    assert oid_of(day, "t_developer") == live


def test_without_a_safety_set_the_live_database_stays(day, live):
    with day.restore(database="live") as restore:
        restore.note_approvals(BOTH)
        with pytest.raises(InputError, match="no safety set"):
            restore.replace_live()
    assert oid_of(day, "t_developer") == live


def test_the_live_database_is_replaced_between_stop_and_start(day, live):
    with day.system.database() as database:
        database.execute("UPDATE agents SET name = name || ' (broken)'")
    told, request = [], day.request(database="live", no_safety_set=True)
    with day.restore(request, progress=told.append) as restore:
        restore.note_approvals(BOTH)
        restored = restore.restore_database()
    with day.restore(request, progress=told.append) as restore:
        places = restore.replace_live()
        assert restore.settle() == "There was nothing to settle."
    assert oid_of(day, "t_developer") == restored.oid
    assert oid_of(day, places.old_name) == live
    assert alive(day) == {"t-developer-evolution": True, "t-developer-api": True}
    order = [line for line in told if " is stopped" in line or line.endswith(" runs") or "is now" in line]
    assert [line.split()[0] for line in order] == [
        "t-developer-evolution",
        "t-developer-api",
        restored.name,
        "t-developer-evolution",
        "t-developer-api",
    ]
    with day.system.database() as database:
        assert database.execute("SELECT count(*) FROM agents WHERE name LIKE '%% (broken)'").fetchone() == (0,)
    with day.restore(request) as restore:
        assert restore.replace_live() == places, "done once more, nothing is done"
    assert oid_of(day, "t_developer") == restored.oid


@pytest.mark.seeded
@pytest.mark.parametrize("step", ["take_place", "open_to_the_application"])
def test_what_fails_on_the_way_is_settled(day, live, monkeypatch, step):
    request = day.request(database="live", no_safety_set=True)

    def fails(*_args, **_options):
        raise BusyError("Somebody is in the way.")

    with monkeypatch.context() as patch, day.restore(request) as restore:
        restore.note_approvals(BOTH)
        patch.setattr(module, step, fails)
        with pytest.raises(BusyError):
            restore.replace_live()
    with day.restore(request) as restore:
        restore.settle()
    assert oid_of(day, "t_developer") == live
    assert alive(day) == {"t-developer-evolution": True, "t-developer-api": True}
    day.system.database().close()


@pytest.mark.faults
def test_a_service_that_does_not_stop_keeps_the_live_database(day, live):
    day.changes = {"service_stop": ("true", "{service}"), "service_seconds": 1.0}
    with day.restore(database="live", no_safety_set=True) as restore:
        restore.note_approvals(BOTH)
        with pytest.raises(CommandFailedError, match="t-developer-evolution on sandbox still runs"):
            restore.replace_live()
        restore.settle()
    assert oid_of(day, "t_developer") == live
