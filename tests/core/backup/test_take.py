"""A whole set is taken: what it refers to, what a killed try leaves, who may disturb it."""

import threading
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from tdev_operators.core.backup.database.catalogue import pin, read_catalogue
from tdev_operators.core.backup.manifest import State
from tdev_operators.core.backup.readiness import provability, ready
from tdev_operators.core.errors import AccessDeniedError, BusyError, InputError, TransientError
from tdev_operators.core.ports import utc_now
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.postgres_sessions import PostgresSource
from tests.core.backup.whole_sets import BACKUPS, summary, verdicts

pytestmark = [pytest.mark.xdist_group("whole-sets"), pytest.mark.timeout(120)]


class KilledError(Exception):
    """Stands for the death of the worker."""


def test_a_set_is_whole_and_says_what_it_holds(house):
    told = []
    taken = house.take(progress=told.append)
    found = verdicts(taken.results)
    assert {name for name, verdict in found.items() if verdict != "OK"} == {"backup.protection"}, (
        "the store cannot tell"
    )
    assert house.states() == [State.COMPLETE]
    manifest = taken.manifest
    assert {(dump.name, dump.role) for dump in manifest.databases} == {
        ("t_developer", "maintained"),
        ("ledger", "ledger"),
    }
    assert [snapshot.name for snapshot in manifest.buckets] == ["agents", "checkpoints"]
    assert all(snapshot.taken_at >= manifest.recovery_point for snapshot in manifest.buckets), "buckets come second"
    assert any("COMPLETE" in line for line in told)
    assert house.open_uploads() == []
    assert house.sessions() == 0


@pytest.mark.faults
def test_the_next_one_refers_to_what_was_read_back_and_a_full_one_to_nothing(house):
    first = house.take("monday").manifest
    unread = house.take("tuesday").manifest
    assert unread.buckets[0].referenced_sets == (), "nobody has read the first one yet"
    assert house.verify().proven
    client = house.system.objects.client()
    bucket = house.settings.buckets.agents
    key = client.list_objects_v2(Bucket=bucket, MaxKeys=1)["Contents"][0]["Key"]
    body = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    client.put_object(Bucket=bucket, Key=key, Body=body + b"\n# changed\n")
    try:
        wednesday = house.take("wednesday").manifest
        agents = wednesday.buckets[0]
        assert agents.referenced_sets == (unread.set_id,)
        assert len(agents.packs) == 1
        assert agents.packs[0].size_bytes < first.buckets[0].packs[0].size_bytes / 10, "only what changed is stored"
        full = house.take("full", full=True).manifest
        assert [snapshot.referenced_sets for snapshot in full.buckets] == [(), ()]
        assert house.verify().proven
    finally:
        client.put_object(Bucket=bucket, Key=key, Body=body)


def dies_at(line_start):
    """Return `progress` and `check` of a worker that dies when it has said a line that begins so."""
    said = threading.Event()

    def progress(line):
        if line.startswith(line_start):
            said.set()

    def check():
        if said.is_set():
            raise KilledError

    return {"progress": progress, "check": check}


def test_a_dead_try_is_no_set_and_its_retry_takes_up_what_stands(house):
    class Store:
        """Dies when the manifest is about to be written."""

        def __init__(self, store):
            self.store = store

        def __getattr__(self, name):
            return getattr(self.store, name)

        def put(self, bucket, key, body, *, only_if_absent=False):
            if key.endswith("manifest.json"):
                raise KilledError
            return self.store.put(bucket, key, body, only_if_absent=only_if_absent)

    with house.ports() as ports, pytest.raises(KilledError):
        house.take("evening", ports={"store": Store(ports.store)})
    assert house.states() == [State.STAGED]
    (dead,) = house.sets()
    assert verdicts(house.verify().results)["backup.tonight"] == "CRITICAL"
    packs = [key for key in house.keys(dead.set_id) if "/packs/" in key]
    moments = {key: house.client.head_object(Bucket=BACKUPS, Key=key)["LastModified"] for key in packs}

    told = []
    taken = house.take("evening", progress=told.append)
    assert taken.manifest.set_id == dead.set_id
    assert told[0] == f"Going on with set {dead.set_id}"
    assert {key: house.client.head_object(Bucket=BACKUPS, Key=key)["LastModified"] for key in packs} == moments
    assert house.verify().proven
    assert house.take("another run").manifest.sequence == 2


def test_a_lost_lease_ends_the_set(house):
    with pytest.raises(KilledError):
        house.take(**dies_at("Taking set"))
    assert house.states() == [State.STAGED]
    assert house.open_uploads() == []
    assert house.sessions() == 0


@pytest.mark.faults
def test_a_holder_that_is_gone_ends_the_dump(house):
    def progress(line):
        if line.startswith("Taking set"):
            threading.Thread(target=end_holders, daemon=True).start()

    def end_holders():
        ends = time.monotonic() + 20
        with house.system.database() as connection:
            connection.autocommit = True
            while time.monotonic() < ends:
                ended = connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where application_name = 'tdev-backup' and backend_xmin is not null and datname = 't_developer'"
                ).fetchall()
                if ended:
                    return
                time.sleep(0.005)

    with pytest.raises((TransientError, InputError)):
        house.take(progress=progress)
    assert house.states() == [State.STAGED]
    assert house.take().manifest.sequence == 1
    assert house.verify().proven


@pytest.mark.faults
def test_without_the_ledger_the_rest_is_taken_and_the_report_says_so(house):
    lost = PostgresSource(ConnectionFacts("tdev_ledger", "postgres", host="127.0.0.1", port=1, schema="ledger"))
    taken = house.take(ports={"ledger": lost})
    assert verdicts(taken.results)["backup.ledger"] == "UNKNOWN"
    assert [dump.name for dump in taken.manifest.databases] == ["t_developer"]
    assert house.verify().proven


def test_a_database_that_cannot_be_read_whole_is_refused_with_the_grant(house):
    with house.system.database() as connection:
        connection.autocommit = True
        connection.execute(
            "create schema hidden; create table hidden.t (i int); revoke all on schema hidden from public"
        )
        # A role that reads everything may not see rows behind a policy.
        connection.execute("alter table hidden.t enable row level security")
        try:
            with pytest.raises(
                AccessDeniedError, match=r"The database t_developer cannot be dumped whole\. .*BYPASSRLS"
            ):
                house.take()
        finally:
            connection.execute("drop schema hidden cascade")
    assert house.states() == [], "nothing was begun"


def test_what_is_not_there_is_refused_by_name(house):
    with pytest.raises(InputError, match="no source bucket payroll; choose from: agents, checkpoints"):
        house.take(buckets=("payroll",))


@pytest.mark.faults
def test_writers_at_full_speed_change_nothing_in_the_set(house):
    stop, rounds = threading.Event(), []

    def write():
        with house.system.database() as connection:
            connection.autocommit = True
            while not stop.is_set():
                connection.execute("insert into busy (value) select md5(i::text) from generate_series(1, 500) i")
                connection.execute("update busy set value = value || 'x' where id % 7 = 0")
                connection.execute("delete from busy where id % 5 = 0")
                connection.execute("update agents set metadata = metadata || '{\"busy\": 1}' where name like '%1'")
                rounds.append(time.monotonic())

    with house.system.database() as connection:
        connection.execute("create table busy (id bigserial primary key, value text)")
        connection.commit()
    writer = threading.Thread(target=write)
    writer.start()
    try:
        taken = house.take()
    finally:
        stop.set()
        writer.join()
    try:
        assert len(rounds) > 5, "the writer was busy meanwhile"
        assert house.verify().proven
        with house.system.database() as connection:
            now = connection.execute("select count(*) from busy").fetchone()[0]
        assert now > 1000
        assert taken.manifest.databases[0].rows > 0
    finally:
        with house.system.database() as connection:
            connection.execute("drop table busy")
            connection.commit()


def test_who_alters_a_table_waits_and_the_dump_gives_way_in_time(house):
    house.changes = {"yield_after_seconds": 1.0}
    altered, waiting = [], []

    def alter():
        with house.system.database() as connection:
            connection.autocommit = True
            connection.execute("alter table agents add column if not exists meddled int")
            altered.append(time.monotonic())

    def locked():
        with house.system.database() as connection:
            held = "select count(*) from pg_locks where relation = 'agents'::regclass and mode = 'AccessShareLock'"
            return connection.execute(held).fetchone()[0]

    def check():
        if not waiting and locked():
            waiting.append(threading.Thread(target=alter))
            waiting[0].start()
            time.sleep(3)  # a slow dump

    try:
        with pytest.raises(BusyError, match="gives way"):
            house.take(check=check)
        waiting[0].join(20)
        assert altered, "the statement that waited was done as soon as the dump gave way"
    finally:
        with house.system.database() as connection:
            connection.execute("alter table agents drop column if exists meddled")
            connection.commit()
    assert house.states() == [State.STAGED]


@pytest.mark.faults
def test_no_clock_of_ours_has_a_say(house):
    first = house.take("one", ports={"clock": lambda: utc_now() + timedelta(days=3)}).manifest
    second = house.take("two", ports={"clock": lambda: utc_now() - timedelta(days=3)}).manifest
    assert (first.sequence, second.sequence) == (1, 2)
    assert abs(first.recovery_point - second.recovery_point) < timedelta(minutes=2), "the database's clock"
    assert [one.set_id for one in house.sets()] == [second.set_id, first.set_id]


def test_a_row_without_its_object_is_critical(house):
    with house.system.database() as connection:
        connection.autocommit = True
        one = "select id, version from agents order by name, version limit 1"
        row = connection.execute(one).fetchone()
        connection.execute("update agents set version = 'gone' where id = %s", [row[0]])
        try:
            taken = house.take()
            assert verdicts(taken.results)["backup.references"] == "CRITICAL"
            assert "gone.py" in summary(taken.results, "backup.references")
        finally:
            connection.execute("update agents set version = %s where id = %s", [row[1], row[0]])


def test_what_the_scratch_server_lacks_is_said_when_the_set_is_taken_and_by_init(house):
    with house.ports() as ports:
        source = ports.maintained("t_developer")
        with source.session() as session:
            pin(session)
            catalogue = read_catalogue(session)
        needs = replace(catalogue, extensions={**catalogue.extensions, "frobnicate": "1.0"})
        (result,) = provability([("t_developer", needs)], ports.scratch)
        assert result.verdict.value == "UNKNOWN"
        assert "unprovable: needs frobnicate" in result.summary
        (result, _) = ready([source, ports.ledger], ports.scratch, "embedded")
        assert result.verdict.value == "OK"

        def broken(_major):
            raise TransientError("The scratch server is away; start it.")

        (result,) = provability([("t_developer", catalogue)], broken)
        assert (result.verdict.value, result.summary) == ("UNKNOWN", "The scratch server is away; start it.")
