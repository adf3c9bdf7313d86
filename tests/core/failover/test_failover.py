"""Failing over between a real primary and a real standby, with somebody who writes all the time."""

import contextlib
import socket
import threading

import psycopg
import pytest

from sandbox.faults.postgres import PostgresProxy
from tdev_operators.core.errors import (
    AccessDeniedError,
    BusyError,
    InputError,
    TargetTimeoutError,
    TargetUnreachableError,
    TransientError,
)
from tdev_operators.core.failover import failover as module
from tdev_operators.core.failover.failover import FENCE, PROMOTE
from tdev_operators.core.failover.rejoin import Rejoin
from tdev_operators.core.failover.told import results_of
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import EnvironmentConnections
from tests.core.backup.whole_sets import summary, verdicts
from tests.core.failover.conftest import TwoSides, Writer
from tests.seeded import drawn


def told(sides, request):
    with sides.failover(request) as failover:
        return results_of(failover.journal)


def is_primary(cluster):
    try:
        with cluster.connect() as connection:
            return not connection.execute("SELECT pg_is_in_recovery()").fetchone()[0]
    except psycopg.Error:
        return False


def test_planned_nothing_is_lost_and_two_are_never_written(sides):
    sides.objects.client().put_object(Bucket="t-developer-agents", Key="a/1.py", Body=b"print(1)")
    request = sides.request()
    with Writer(sides) as writer:
        sides.all_steps(request)
        before = len(writer.committed)
        while len(writer.committed) < before + 20:
            threading.Event().wait(0.05)
    assert writer.both == []
    assert writer.committed <= sides.ids(sides.second.standby)
    assert not sides.source.running
    assert not sides.services["t-developer-api"].running
    assert sides.second.api.running
    assert sides.objects.client().get_object(Bucket="t-developer-agents-2", Key="a/1.py")["Body"].read() == b"print(1)"
    found = told(sides, request)
    assert set(verdicts(found).values()) == {"OK"}, [one.summary for one in found if one.verdict != "OK"]
    assert "Nothing was lost" in summary(found, "failover.loss")
    assert "approved by deputy" in summary(found, "failover.end")
    assert next(one.value for one in results_seconds(found)) < 30
    sides.unit_commands.boot("postgresql-1", "t-developer-api")
    assert not sides.source.running, "the fence survives a restart of the machine"
    for step in ("fence", "sync", "promote", "switch_names", "start", "verify"):
        sides.step(request, step)  # done once more, nothing is done
    assert sides.step(request, "settle") == "There was nothing to settle."


def results_seconds(found):
    end = next(one for one in found if one.check == "failover.end")
    return [one for one in end.measurements if one.name == "until verify was done"]


def test_without_approval_nothing_is_fenced(sides):
    request = sides.request()
    sides.step(request, "look")
    with pytest.raises(AccessDeniedError, match="needs 1 approval"):
        sides.step(request, "fence")
    assert is_primary(sides.source)


@pytest.mark.parametrize("reached", drawn("failover taken back", ["fence", "sync"]))
def test_what_ends_before_the_promotion_is_taken_back(sides, reached):
    request = sides.request()
    for step in ("look", "approve", "fence", "sync")[: 3 + (reached == "sync")]:
        sides.step(request, step)
    assert "serves again" in sides.step(request, "settle")
    assert is_primary(sides.source)
    assert sides.services["t-developer-api"].running
    assert not is_primary(sides.second.standby)
    assert verdicts(told(sides, request))["failover.end"] == "CRITICAL"
    sides.second.await_streaming()
    again = sides.request()
    sides.all_steps(again)  # it is over, so that another may begin
    assert is_primary(sides.second.standby)


def test_behind_the_promotion_nothing_is_taken_back(sides):
    request = sides.request()
    for step in ("look", "approve", "fence", "sync", "promote"):
        sides.step(request, step)
    said = sides.step(request, "settle")
    assert "nothing is taken back" in said
    assert "first: does not answer" in said
    assert "second: a primary on timeline 2" in said
    assert "Not done: names, start, verify" in said
    assert not sides.source.running
    for step in ("switch_names", "start", "verify"):
        sides.step(request, step)
    assert verdicts(told(sides, request))["failover.end"] == "OK"


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


def test_while_one_is_under_way_no_other_begins_and_a_newer_one_ends_the_older(sides):
    first, second = sides.request(), sides.request()
    for request in (first, second):
        sides.step(request, "look")
        sides.step(request, "approve")
    sides.step(first, "fence")
    with pytest.raises(BusyError, match=f"{first.recovery_id} is not over"):
        sides.step(second, "fence")
    sides.step(first, "settle")
    sides.second.await_streaming()
    sides.step(second, "fence")
    for step in ("sync", "promote"):
        with pytest.raises(InputError, match="is over"):
            sides.step(first, step)


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


def test_a_dead_primary_is_left_behind_and_the_loss_is_told(sides):
    request = sides.request(planned=False)
    with Writer(sides) as writer:
        while len(writer.committed) < 50:
            threading.Event().wait(0.02)
        sides.source.kill()
        sides.all_steps(request)
    assert writer.both == []
    found = told(sides, request)
    assert verdicts(found)["failover.loss"] == "WARNING"
    assert "Lost: an unknown amount" in summary(found, "failover.loss")
    kept = sides.ids(sides.second.standby)
    lost = writer.committed - kept
    assert len(lost) < len(writer.committed) / 2, "a standby that follows has nearly everything"


def deaf(sides):
    """Commands of a host that cannot be reached."""
    return {"hosts": {"sandbox": DeafHost()}}


class DeafHost:
    name = "sandbox"

    def run(self, argv, **_):
        raise TargetUnreachableError("The host sandbox cannot be reached.")


def fence_unplanned(sides, request, **options):
    for step in ("look", "approve"):
        sides.step(request, step)
    return sides.step(request, "fence", ports=deaf(sides), **options)


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


def test_a_word_is_not_believed_while_the_old_side_answers(sides):
    with pytest.raises(InputError, match="answers still, as a primary"):
        fence_unplanned(sides, sides.request(planned=False, attested_off=True))
    assert not is_primary(sides.second.standby)


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


@pytest.mark.faults
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


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"to": "third"}, "There is no side"),
        ({"to": "first"}, "is a primary already"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_touched(sides, asked, says):
    with pytest.raises(InputError, match=says):
        sides.step(sides.request(**asked), "look")
    assert is_primary(sides.source)


@pytest.mark.faults
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


@pytest.mark.faults
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


def test_the_ledger_may_not_live_on_a_side(sides):
    with sides.source.connect() as connection:
        (cluster,) = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
    with pytest.raises(InputError, match="The ledger lives on a server that takes part"):
        sides.step(sides.request(), "look", bystander=cluster)


@pytest.mark.faults
def test_the_journal_knows_each_step(sides):
    request = sides.request()
    sides.all_steps(request)
    with sides.failover(request) as failover:
        steps = [entry.step for entry in failover.journal.entries if entry.event == "done"]
    assert steps == ["asked", "look", "approval", FENCE, "sync", PROMOTE, "names", "start", "verify", "end"]


def rejoin(sides, approved_by=("deputy",)):
    with sides.failover() as failover:
        work = Rejoin(failover.ports, failover.settings, "rejoin-test-1", "first")
        return work.carry_out(approved_by, "lead")


@pytest.mark.parametrize("planned", drawn("failback", [True, False]))
def test_the_old_side_is_rewound_follows_and_takes_over_again(sides, planned):
    with pytest.raises(InputError, match="answers still, as a primary"):
        rejoin(sides)
    with Writer(sides) as writer:
        if not planned:
            while len(writer.committed) < 50:
                threading.Event().wait(0.02)
            sides.source.kill()
        sides.all_steps(sides.request(planned=planned))
        with pytest.raises(AccessDeniedError, match="needs 1 approval"):
            rejoin(sides, ())
        kept = sides.ids(sides.second.standby)
        assert rejoin(sides) == "first follows second"
        assert rejoin(sides) == "first follows second", "done once more, nothing is done"
        sides.all_steps(sides.request(to="first"))
        before = len(writer.committed)
        while len(writer.committed) < before + 10:
            threading.Event().wait(0.05)
    assert writer.both == []
    assert is_primary(sides.source)
    assert not sides.second.standby.running
    assert kept <= sides.ids(sides.source)
    if planned:
        assert writer.committed <= sides.ids(sides.source)


@pytest.mark.faults
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


@pytest.mark.faults
def test_a_lost_source_bucket_is_told_when_the_region_is_gone(sides):
    sides.source.kill()
    sides.objects.client().delete_bucket(Bucket="t-developer-checkpoints")
    request = sides.request(planned=False)
    sides.all_steps(request)
    assert "The last changes of t-developer-checkpoints as well" in summary(told(sides, request), "failover.loss")


@pytest.mark.faults
def test_a_rewind_that_makes_no_standby_is_not_started(sides):
    sides.all_steps(sides.request())
    first, second = sides.settings().failover.sides
    wrong = (first.model_copy(update={"rewind": ("true",), "base": ()}), second)
    with sides.failover(changes={"sides": wrong}) as failover:
        work = Rejoin(failover.ports, failover.settings, "rejoin-test-2", "first")
        with pytest.raises(InputError, match=r"standby\.signal is not there"):
            work.carry_out(["deputy"], "lead")
    assert not sides.source.running
