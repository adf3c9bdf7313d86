"""What goes wrong during a failover. `make test` tries one, drawn by the seed; `make faults` all of them."""

import contextlib
import os
import signal
import socket
import threading
from pathlib import Path

import psycopg
import pytest

from sandbox.faults.postgres import PostgresProxy
from tdev_operators.core.errors import (
    BusyError,
    InputError,
    TargetTimeoutError,
    TransientError,
)
from tdev_operators.core.failover import replica as module
from tdev_operators.core.failover.failover import FENCE, PROMOTE
from tdev_operators.core.failover.rejoin import Rejoin
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import EnvironmentConnections
from tests.core.backup.whole_sets import summary, verdicts
from tests.core.failover.conftest import TwoSides, Writer, deaf, fence_unplanned, is_primary, told
from tests.seeded import drawn


def test_a_promotion_whose_answer_is_lost_is_read_back(sides, monkeypatch):
    request = sides.request()
    for step in ("look", "approve", "fence", "sync"):
        sides.step(request, step)
    true = module.load_sql

    def then_the_session_ends(name):
        text = true(name)
        return text.replace("AS promoted", "AS promoted, pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(module, "load_sql", then_the_session_ends)
    facts = sides.step(request, "promote")
    assert facts["timeline"] == 2
    assert is_primary(sides.second.standby)


def test_two_that_begin_at_once_do_not_both_begin(sides):
    requests = [sides.request(), sides.request()]
    outcomes = []
    for request in requests:
        sides.step(request, "look")
        sides.step(request, "approve")
    barrier = threading.Barrier(2)

    def fence(request):
        barrier.wait()
        try:
            sides.step(request, "fence")
            outcomes.append("fenced")
        except (BusyError, TransientError) as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=fence, args=(request,)) for request in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("fenced") == 1, outcomes


def test_a_host_that_does_not_obey_needs_proof_or_a_word(sides):
    sides.source.kill()
    with pytest.raises(InputError, match="Nothing proves that first is off"):
        fence_unplanned(sides, refused := sides.request(planned=False))
    assert "nobody knows how first is" in sides.step(refused, "settle", ports=deaf(sides))
    for _ in range(2):  # given up in between: another may begin
        request = sides.request(planned=False, attested_off=True)
        fenced = fence_unplanned(sides, request)
        assert (fenced.how, fenced.by) == ("a human's word", "lead")
        if _ == 0:
            assert "start a failover anew" in sides.step(request, "settle")
            assert verdicts(told(sides, request))["failover.end"] == "CRITICAL"
            with pytest.raises(InputError, match=r"is over \(given up\)"):
                sides.step(request, "sync")
    for step in ("sync", "promote"):
        sides.step(request, step)
    assert is_primary(sides.second.standby)


@pytest.mark.parametrize("obeys", drawn("failover infrastructure", [True, False]))
def test_the_infrastructure_turns_a_machine_off_and_is_asked_whether_it_is(sides, tmp_path, obeys):
    mark = tmp_path / "off"
    sides.source.kill()
    changes = {
        "switch_off": ("touch", str(mark if obeys else tmp_path / "x")),
        "is_switched_off": ("test", "-e", str(mark)),
    }
    request = sides.request(planned=False)
    if obeys:
        assert fence_unplanned(sides, request, changes=changes).how == "machine switched off"
    else:
        with pytest.raises(TransientError, match="is not seen off"):
            fence_unplanned(sides, request, changes=changes)


def test_a_primary_that_comes_back_stops_the_promotion(sides):
    request = sides.request()
    for step in ("look", "approve", "fence", "sync"):
        sides.step(request, step)
    sides.source.start()  # somebody's hand, past the fence
    with pytest.raises(InputError, match="answers still, as a primary"):
        sides.step(request, "promote")
    assert not is_primary(sides.second.standby)


def test_a_primary_that_did_not_shut_down_cleanly_is_taken_back(sides):
    request = sides.request()
    for step in ("look", "approve"):
        sides.step(request, step)
    sides.source.kill()
    sides.step(request, "fence")
    with pytest.raises(InputError, match="did not shut down cleanly"):
        sides.step(request, "sync")
    sides.step(request, "settle")
    assert is_primary(sides.source)


def test_a_standby_that_does_not_replay_is_not_promoted(sides):
    request = sides.request()
    for step in ("look", "approve"):
        sides.step(request, step)
    with sides.second.standby.connect() as standby:
        standby.execute("SELECT pg_wal_replay_pause()")
    with sides.source.connect("t_developer") as database:
        database.execute("INSERT INTO written SELECT generate_series(1000, 1100)")
    sides.step(request, "fence")
    with pytest.raises(TargetTimeoutError, match="within 3 s"):
        sides.step(request, "sync", changes={"catch_up_seconds": 3.0})
    with sides.second.standby.connect() as standby:
        standby.execute("SELECT pg_wal_replay_resume()")
    sides.step(request, "sync")
    sides.step(request, "promote")
    assert sides.ids(sides.second.standby) == set(range(1000, 1101))


def test_a_network_cut_between_the_sides_refuses_a_planned_failover(supervisor):
    proxies = []

    def follows(port):
        proxies.append(PostgresProxy(port))
        return proxies[0].port

    sides = TwoSides(supervisor, follows=follows)
    proxies[0].refuse()
    proxies[0].cut_all()
    try:
        while sides.second.is_streaming():
            threading.Event().wait(0.1)
        with pytest.raises(InputError, match="follows nobody right now"):
            sides.step(sides.request(), "look")
    finally:
        proxies[0].close()


@pytest.mark.parametrize("ticked", drawn("failover slots", [True, False]))
def test_a_logical_slot_needs_a_tick_and_is_made_anew(supervisor, ticked):
    sides = TwoSides(supervisor)
    for cluster in (sides.source, sides.second.standby):
        with cluster.connect() as connection:
            connection.execute("ALTER SYSTEM SET wal_level = logical")
        cluster.restart()
    sides.second.await_streaming()
    with sides.source.connect("t_developer") as database:
        database.execute("SELECT pg_create_logical_replication_slot('cdc', 'pgoutput')")
    request = sides.request(slots=ticked)
    if not ticked:
        with pytest.raises(InputError, match="logical slots cdc"):
            sides.step(request, "look")
        return
    sides.all_steps(request)
    with sides.second.standby.connect() as primary:
        assert primary.execute("SELECT slot_name FROM pg_replication_slots").fetchall() == [("cdc",)]


def test_names_that_change_without_an_answer_are_read_back(sides):
    request = sides.request()
    for step in ("look", "approve", "fence", "sync", "promote"):
        sides.step(request, step)
    with sides.failover(request) as failover:
        true = failover.ports.names.point

        def changed_and_lost(*asked):
            true(*asked)
            raise TargetTimeoutError("The webhook did not answer.")

        failover.ports.names.point = changed_and_lost
        assert failover.switch_names() == {"api.t-developer.com": "127.0.0.2"}


def test_s3_down_during_the_sync_changes_nothing(sides):
    request = sides.request()
    for step in ("look", "approve", "fence"):
        sides.step(request, step)
    sides.objects.stop()
    with socket.socket() as probe:
        assert probe.connect_ex((sides.objects.host, sides.objects.port)) != 0
    impatient = S3BackupStore(EnvironmentConnections(sides.environment).get("tdev_aws"), patience_seconds=1.0)
    with impatient, pytest.raises(TransientError):
        sides.step(request, "sync", ports={"store": impatient})
    sides.objects.start()
    sides.step(request, "sync")
    sides.step(request, "promote")
    assert is_primary(sides.second.standby)


def test_the_journal_knows_each_step(sides):
    request = sides.request()
    sides.all_steps(request)
    with sides.failover(request) as failover:
        steps = [entry.step for entry in failover.journal.entries if entry.event == "done"]
    assert steps == ["asked", "look", "approval", FENCE, "sync", PROMOTE, "names", "start", "verify", "end"]


def test_what_is_full_or_starting_is_not_off(sides):
    with sides.source.connect() as connection:
        connection.execute("ALTER ROLE postgres CONNECTION LIMIT 1")  # a superuser passes it
        connection.execute("ALTER SYSTEM SET max_connections = 12")
    sides.source.restart()
    sides.second.await_streaming()
    request = sides.request(planned=False, attested_off=True)
    for step in ("look", "approve"):
        sides.step(request, step)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                stack.enter_context(sides.source.connect())
        with pytest.raises(InputError, match="answers, so that it is not off"):
            sides.step(request, "fence", ports=deaf(sides))


def test_a_half_dead_primary_that_takes_connections_and_refuses_writes_is_left_behind(sides):
    with Writer(sides) as writer:
        with sides.source.connect() as connection:
            connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            connection.execute("SELECT pg_reload_conf()")
        request = sides.request(planned=False)
        sides.all_steps(request)
        before = len(writer.committed)
        while len(writer.committed) < before + 5:
            threading.Event().wait(0.05)
    assert writer.both == []
    assert not sides.source.running
    assert "MB of log that the old side had written" in summary(told(sides, request), "failover.loss")


def test_a_hung_primary_is_off_before_anything_is_promoted(sides):
    leader = sides.supervisor.children["source"].pid
    hung = [leader, *(int(pid) for pid in Path(f"/proc/{leader}/task/{leader}/children").read_text().split())]
    for pid in hung:
        os.kill(pid, signal.SIGSTOP)  # connections are taken by the kernel, and nobody ever answers
    request = sides.request(planned=False)
    with pytest.raises(TransientError):
        sides.step(sides.request(), "look")  # planned: nothing is touched
    sides.all_steps(request)
    assert not sides.source.running
    assert not [pid for pid in hung if Path(f"/proc/{pid}").exists()]
    assert is_primary(sides.second.standby)
    assert "an unknown amount" in summary(told(sides, request), "failover.loss")


def test_a_process_that_slept_while_another_promoted_takes_nothing_back(sides):
    request = sides.request()
    for step in ("look", "approve", "fence", "sync"):
        sides.step(request, step)
    with sides.failover(request) as sleeper:  # its journal is of now
        sides.step(request, "promote")
        with pytest.raises(BusyError):
            sleeper.journal.note("sync", "done")
        assert "nothing is taken back" in sleeper.settle()
    assert not sides.source.running


def test_a_standby_that_somebody_promoted_by_hand_is_seen(sides):
    request = sides.request()
    for step in ("look", "approve", "fence"):
        sides.step(request, step)
    with sides.second.standby.connect() as standby:
        standby.execute("SELECT pg_promote()")
    assert "nothing is taken back" in sides.step(request, "settle")
    assert not sides.source.running
    assert "It is given up" in sides.give_up(request)


def test_the_control_file_of_another_cluster_proves_nothing(sides):
    request = sides.request()
    for step in ("look", "approve", "fence"):
        sides.step(request, step)
    other = sides.other_cluster()
    first, second = sides.settings().failover.sides
    wrong = (first.model_copy(update={"data_directory": str(other.data)}), second)
    with pytest.raises(InputError, match="is of another cluster"):
        sides.step(request, "sync", changes={"sides": wrong})


def test_rights_that_would_be_missed_behind_the_promotion_are_missed_before(sides):
    with sides.source.connect() as connection:
        connection.execute("CREATE ROLE weak LOGIN PASSWORD 'weak'")
    facts = {"AIRFLOW_CONN_TDEV_SIDE_SECOND": sides.as_role("weak", "weak")}
    with pytest.raises(InputError, match="Our role lacks EXECUTE on pg_promote"):
        sides.step(sides.request(), "look", environment=facts)


def test_a_lost_source_bucket_is_told_when_the_region_is_gone(sides):
    sides.source.kill()
    sides.objects.client().delete_bucket(Bucket="t-developer-checkpoints")
    request = sides.request(planned=False)
    sides.all_steps(request)
    assert "The last changes of t-developer-checkpoints as well" in summary(told(sides, request), "failover.loss")


def test_a_rewind_that_makes_no_standby_is_not_started(sides):
    sides.all_steps(sides.request())
    first, second = sides.settings().failover.sides
    wrong = (first.model_copy(update={"rewind": ("true",), "base": ()}), second)
    with sides.failover(changes={"sides": wrong}) as failover:
        work = Rejoin(failover.ports, failover.settings, "rejoin-test-2", "first")
        with pytest.raises(InputError, match=r"standby\.signal is not there"):
            work.carry_out(["deputy"], "lead")
    assert not sides.source.running
