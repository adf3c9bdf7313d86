"""The region is gone and there is no replica: the other side gets the newest PROVEN set, and serves it."""

import itertools
import json
from contextlib import contextmanager

import pytest

from sandbox.second_side import SecondSide
from tdev_operators.core.errors import AccessDeniedError, InputError, TargetUnreachableError, TransientError
from tdev_operators.core.failover import from_set
from tdev_operators.core.failover.failover import Failover
from tdev_operators.core.failover.request import FailoverRequest
from tdev_operators.core.failover.told import results_of
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.failover_assembly import failover_ports
from tests.core.backup.whole_sets import summary, verdicts
from tests.seeded import drawn

_NUMBERS = itertools.count(1)
STEPS = ("look", "approve", "fence", "sync", "promote", "switch_names", "start", "verify")


class Elsewhere:
    """The sandbox's first side, and a second one without a replica."""

    def __init__(self, house):
        self._house, self.system, self.agents_bucket = house, house.system, "t-developer-agents"
        self.second = SecondSide(house.system, replica=False).start()

    @property
    def settings(self):
        settings = self._house.settings
        passwords = {"role_passwords": {"t_developer": "tdev_application"}}
        first, second = settings.failover.sides
        sides = (first.model_copy(update={"agents": self.agents_bucket}), second)
        return settings.model_copy(
            update={
                "recovery": settings.recovery.model_copy(update=passwords),
                "failover": settings.failover.model_copy(update={"sides": sides}),
            }
        )

    def request(self, **asked):
        number = next(_NUMBERS)
        known = {"recovery_id": f"failover-from-set-{number}", "to": "second", "requested_by": "lead", "planned": False}
        return FailoverRequest(**{**known, **asked})

    @contextmanager
    def failover(self, request, **options):
        password = self.system.source.conninfo("t_developer", user="t_developer")["password"]
        application = json.dumps({"conn_type": "generic", "password": password})
        known = {**self.system.environment, **self.second.environment, "AIRFLOW_CONN_TDEV_APPLICATION": application}
        with failover_ports(self.settings, EnvironmentConnections(known)) as ports:
            yield Failover(ports, self.settings, request, **options)

    def step(self, request, name, **options):
        with self.failover(request, **options) as failover:
            return failover.note_approvals(["deputy"]) if name == "approve" else getattr(failover, name)()

    def steps(self, request, *names):
        for name in names:
            self.step(request, name)

    def told(self, request):
        with self.failover(request) as failover:
            return results_of(failover.journal)

    def databases(self):
        with self.second.standby.connect() as connection:
            return {row[0] for row in connection.execute("SELECT datname FROM pg_database WHERE NOT datistemplate")}

    def agents(self, cluster, database="t_developer"):
        with cluster.connect(database) as connection:
            return connection.execute("SELECT array_agg(id ORDER BY id) FROM agents").fetchone()[0]

    def mend(self):
        """The first side serves again, and the second is empty."""
        system, standby, self.agents_bucket = self.system, self.second.standby, "t-developer-agents"
        self.second.fail_back()
        client = system.objects.client()
        for bucket in self.second.buckets.values():
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for entry in page.get("Contents", []):
                    client.delete_object(Bucket=bucket, Key=entry["Key"])
        with standby.connect() as connection:
            for name in self.databases() - {"postgres"}:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
def _elsewhere(_worst_house):
    file = _worst_house.system.settings_file
    before = file.read_text()
    made = Elsewhere(_worst_house)
    yield made
    made.second.standby.stop()
    file.write_text(before)


@pytest.fixture
def elsewhere(_elsewhere):
    yield _elsewhere
    _elsewhere.mend()


def test_the_newest_proven_set_serves_on_the_other_side(elsewhere):
    system, second = elsewhere.system, elsewhere.second
    expected = elsewhere.agents(system.source)
    with second.standby.connect() as connection:
        connection.execute("CREATE DATABASE t_developer")  # of an earlier failover
    request = elsewhere.request()
    for step in STEPS:
        elsewhere.step(request, step)
        if step in ("fence", "sync", "promote"):
            elsewhere.step(request, step)  # done once more, nothing is done
    assert elsewhere.agents(second.standby) == expected
    assert not system.source.running
    assert second.api.running
    found = elsewhere.told(request)
    lost = verdicts(found)
    assert lost.pop("failover.loss") == "WARNING"
    assert set(lost.values()) == {"OK"}, [one.summary for one in found if one.verdict != "OK"]
    assert "t_developer as it was in the set 000001-" in summary(found, "failover.promote")
    assert "Lost: all that the old side wrote since 20" in summary(found, "failover.loss")
    assert [name for name in elsewhere.databases() if name.startswith("t_developer_old_")], "what was there is kept"
    with second.standby.connect() as connection:
        (owner,) = connection.execute(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 't_developer'"
        ).fetchone()
    assert owner == "t_developer"


@pytest.mark.faults
def test_the_buckets_come_from_the_set_when_the_old_ones_are_gone(elsewhere):
    elsewhere.agents_bucket = "t-developer-agents-gone"
    request = elsewhere.request()
    elsewhere.steps(request, "look", "approve", "fence")
    done = elsewhere.step(request, "sync")["buckets"]["agents"]
    assert "its objects are those of the set 000001-" in done["lost"]
    assert done["copied"] > 0
    old, new = (elsewhere.system.objects.folder / name for name in ("t-developer-agents", "t-developer-agents-2"))
    known = {path.relative_to(old) for path in old.rglob("*.py")}
    assert known <= {path.relative_to(new) for path in new.rglob("*.py")}
    elsewhere.step(request, "settle")


@pytest.mark.faults
@pytest.mark.parametrize("reached", drawn("failover from a set taken back", ["fence", "sync"]))
def test_what_ends_before_the_names_are_given_is_taken_back(elsewhere, reached):
    request = elsewhere.request()
    elsewhere.steps(request, *STEPS[: STEPS.index(reached) + 1])
    said = elsewhere.step(request, "settle")
    assert "first serves again, as before; what was restored on second is dropped." in said
    assert elsewhere.system.source.running
    assert elsewhere.databases() == {"postgres"}


@pytest.mark.faults
def test_a_settle_that_could_not_drop_what_was_restored_is_done_again(elsewhere, monkeypatch):
    request = elsewhere.request()
    elsewhere.steps(request, "look", "approve", "fence", "sync")

    def away(*_):
        raise TargetUnreachableError("The server is away.")

    with monkeypatch.context() as patched:
        patched.setattr(from_set, "dropped_if_ours", away)
        with pytest.raises(TargetUnreachableError):
            elsewhere.step(request, "settle")
    assert "what was restored on second is dropped." in elsewhere.step(request, "settle")
    assert elsewhere.databases() == {"postgres"}


@pytest.mark.faults
def test_a_restore_that_died_is_made_anew_by_its_retry(elsewhere):
    request = elsewhere.request()
    elsewhere.steps(request, "look", "approve", "fence")

    class Killed(BaseException):
        pass

    def progress(line):
        if "restoring" in line:
            raise Killed

    with pytest.raises(Killed):
        elsewhere.step(request, "sync", progress=progress)
    assert "t_developer" not in elsewhere.databases()
    elsewhere.steps(request, "sync", "promote")
    assert elsewhere.agents(elsewhere.second.standby)
    assert "nothing is taken back" in elsewhere.step(request, "settle")
    with elsewhere.failover(request) as failover:
        failover.give_up(["deputy"])


def test_what_cannot_be_is_refused_before_anything_is_touched(elsewhere):
    with pytest.raises(InputError, match="Without a replica"):
        elsewhere.step(elsewhere.request(planned=True), "look")
    with elsewhere.second.standby.connect() as connection:
        (identifier,) = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
    with pytest.raises(InputError, match="The ledger lives on a server that takes part"):
        elsewhere.step(elsewhere.request(), "look", bystander=identifier)
    request = elsewhere.request()
    elsewhere.step(request, "look")
    with pytest.raises(AccessDeniedError):
        elsewhere.step(request, "fence")
    assert elsewhere.system.source.running
    elsewhere.second.standby.stop()
    try:
        with pytest.raises(TransientError):
            elsewhere.step(elsewhere.request(), "look")
    finally:
        elsewhere.second.standby.start()
