"""A stalled evolution is diagnosed, restarted, and proven to make generations again, or said not to be cured."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from tdev_operators.core import evidence
from tdev_operators.core.errors import AccessDeniedError, InputError, TargetUnreachableError
from tdev_operators.core.ports import HttpAnswer
from tdev_operators.core.verdicts import Verdict

MONDAY = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
SUNDAY = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)  # inside the maintenance window


def untouched(evolution, request):
    """Whether nothing but the decision was written, and no engine was started."""
    with evolution.opened(request) as (recovery, _):
        return [entry.step for entry in recovery.journal.entries] == ["decision"]


def test_an_engine_that_does_not_run_is_started_and_its_generations_are_the_proof(evolution):
    floor = evolution.highest()
    found = evolution.recover()
    assert found["cure"].verdict is Verdict.OK, found["cure"]
    assert found["cure"].summary.startswith(f"Cured: generation {floor + 1} at ")
    assert f"and {floor + 2} at " in found["cure"].summary
    assert "asked for by lead, approved by deputy" in found["cure"].summary
    assert "t-developer-evolution on sandbox does not run." in found["cure"].summary
    assert evolution.highest() >= floor + 2
    assert found["diagnosis"].verdict is Verdict.OK, found["diagnosis"]
    assert found["locks"].summary == "No engine left a lock behind."
    assert found["checkpoints"].verdict is Verdict.OK
    log = (evolution.system.logs / "evolution.log").read_text(encoding="utf-8")
    assert found["checkpoints"].summary.removesuffix(".") in log, "the engine itself says from where it went on"


@pytest.mark.faults
def test_a_hung_engine_is_seen_killed_and_started_anew(evolution):
    evolution.engine.start()
    evolution.engine.hang()
    before = evolution.engine.pid
    found = evolution.recover()
    assert found["cure"].verdict is Verdict.OK, found["cure"]
    assert f"was stopped by a signal (process {before}). The API says running." in found["cure"].summary
    assert evolution.engine.pid not in (0, before)


def test_a_dry_run_keeps_the_evidence_and_touches_nothing(evolution):
    request = evolution.request(dry_run=True)
    found = evolution.recover(request)
    assert found["cure"].verdict is Verdict.WARNING
    assert found["cure"].summary.startswith("Nothing was touched: this is a dry run. Generation ")
    assert not evolution.engine.running
    with evolution.opened(request) as (recovery, settings):
        assert recovery.journal.entries == ()
        assert recovery.seen is not None
        key = recovery.evidence_place.removeprefix(f"s3://{settings.buckets.backups}/")
        assert key == f"t-developer/evidence/recover_evolution/{request.recovery_id}/diagnosis.json"
    assert any(line.startswith("checkpoint   ") for line in found["diagnosis"].details)


def test_one_that_is_not_stalled_is_left_alone(evolution):
    evolution.system.mend()
    evolution.engine.start()
    before, request = evolution.engine.pid, evolution.request()
    found = evolution.recover(request)
    assert found["cure"].verdict is Verdict.OK
    assert found["cure"].summary.startswith("Nothing was touched. The evolution is not stalled: Generation ")
    assert evolution.engine.pid == before
    assert untouched(evolution, request)


@pytest.mark.faults
def test_one_that_is_not_stalled_is_restarted_when_it_is_forced(evolution):
    evolution.system.mend()
    evolution.engine.start()
    before = evolution.engine.pid
    forced = evolution.recover(evolution.request(force=True))
    assert forced["cure"].summary.startswith("Cured: generation ")
    assert evolution.engine.pid != before


def test_an_engine_that_stalls_again_is_not_called_cured(evolution):
    evolution.engine.stalls_after = 1
    floor = evolution.highest()
    found = evolution.recover(settings=evolution.settings(generation_wait_seconds=3.0))
    assert found["cure"].verdict is Verdict.CRITICAL
    assert f"Not cured. Generation {floor + 1} came, and then none for 0 min: it stalls again." in found["cure"].summary
    assert found["cure"].hint == "Read the engine's log on its host, with the evidence beside it."


def test_an_api_that_says_running_proves_nothing(evolution):
    evolution.engine.stalls_after = 0
    floor = evolution.highest()
    found = evolution.recover(settings=evolution.settings(generation_wait_seconds=2.0))
    assert found["cure"].verdict is Verdict.CRITICAL
    assert f"No generation above {floor} came within 0 min" in found["cure"].summary
    assert "The API says running, which proves nothing." in found["cure"].summary


@pytest.mark.faults
def test_rows_that_somebody_copies_in_are_no_generation(evolution):
    evolution.engine.stalls_after = 0
    number = evolution.highest() + 1

    def copy_in():
        with evolution.system.database() as sql:
            sql.execute(
                "INSERT INTO evolution_history (id, agent_id, generation, fitness_score, constraints_met, timestamp) "
                "SELECT gen_random_uuid(), id, %s, 0.5, true, now() - interval '2 days' FROM agents "
                "WHERE NOT EXISTS (SELECT FROM evolution_history WHERE generation = %s) LIMIT 1",
                (number, number),
            )

    request, settings = evolution.request(), evolution.settings(generation_wait_seconds=2.0)
    try:
        with evolution.opened(request, settings=settings) as (recovery, _):
            recovery.diagnose()
            recovery.note_approvals(["deputy"])
            assert recovery.act()
            copy_in()
            recovery.wait()
        found = evolution.results(request)
    finally:
        with evolution.system.database() as sql:
            sql.execute("DELETE FROM evolution_history WHERE generation = %s", (number,))
    assert found["cure"].verdict is Verdict.CRITICAL
    assert f"Generation {number} appeared and bears the time " in found["cure"].summary


@pytest.mark.faults
def test_an_engine_that_ends_again_is_told(evolution):
    request, settings = evolution.request(), evolution.settings(generation_wait_seconds=2.0)
    evolution.engine.stalls_after = 0
    with evolution.opened(request, settings=settings) as (recovery, _):
        recovery.diagnose()
        recovery.note_approvals(["deputy"])
        assert recovery.act()
        evolution.engine.kill()
        recovery.wait()
    found = evolution.results(request)
    assert "t-developer-evolution on sandbox does not run any more." in found["cure"].summary
    assert found["cure"].hint == "See in its log why t-developer-evolution ends on sandbox."


def test_an_engine_that_goes_back_to_its_checkpoint_is_cured_by_what_it_makes_anew(evolution):
    evolution.engine.goes_back = True
    before = evolution.value("SELECT now()")
    found = evolution.recover(settings=evolution.settings(checkpoint_lead_generations=0))
    assert "Resumed from checkpoint_gen0180.json." in found["checkpoints"].summary
    assert found["cure"].verdict is Verdict.OK, found["cure"]
    assert found["cure"].summary.startswith("Cured: generation 181 at ")
    again = "SELECT count(*) FROM evolution_history WHERE generation = 181 AND timestamp"
    assert evolution.value(f"{again} < %s", before) > 0, "the number stood there before"
    assert evolution.value(f"{again} > %s", before) > 0


def test_one_that_went_back_and_makes_nothing_is_not_cured_by_what_stood_there(evolution):
    evolution.engine.goes_back, evolution.engine.stalls_after = True, 0
    settings = evolution.settings(checkpoint_lead_generations=0, generation_wait_seconds=2.0)
    found = evolution.recover(settings=settings)
    assert found["cure"].verdict is Verdict.CRITICAL
    assert ", and none above the checkpoint's 180 was made anew." in found["cure"].summary


def test_spoiled_checkpoints_are_skipped_and_told(evolution):
    evolution.system.break_("spoil_checkpoints")
    found = evolution.recover(settings=evolution.settings(checkpoint_lead_generations=0))
    assert found["cure"].verdict is Verdict.OK, found["cure"]
    assert found["checkpoints"].verdict is Verdict.WARNING
    told = "\n".join(found["checkpoints"].details)
    for fault in ("it is empty", "it is no JSON: truncated", "it is from the future: the database's", "its key says"):
        assert fault in told
    assert "Resumed from checkpoint_gen0180.json." in found["checkpoints"].summary


@pytest.mark.faults
def test_without_any_usable_checkpoint_it_goes_on_from_the_database(evolution):
    found = evolution.recover(settings=evolution.settings(checkpoint_required=("no_such_thing",)))
    assert found["cure"].verdict is Verdict.OK
    assert found["checkpoints"].verdict is Verdict.WARNING
    assert "No checkpoint could be used: it went on from where the database stands." in found["checkpoints"].summary


class Api:
    """The API, but for what it answers when it shall resume."""

    def __init__(self, api, *statuses):
        self.api, self.name, self.statuses, self.bodies = api, api.name, list(statuses), []

    def get(self, path):
        return self.api.get(path)

    def post(self, path, body=None):
        self.bodies.append(body)
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            return HttpAnswer(status, b"no", "text/plain", 0.0)
        return self.api.post(path, body)


@pytest.mark.seeded(1)
@pytest.mark.parametrize(
    ("statuses", "bodies", "told"),
    [
        (
            (422,),
            ["checkpoint_gen0190.json", "checkpoint_gen0180.json"],
            "Resumed from checkpoint_gen0180.json. checkpoint",
        ),
        ((401,), ["checkpoint_gen0190.json"], "The API resumed the evolution from no checkpoint."),
        ((422, 422, 422), [*(f"checkpoint_gen0{n}0.json" for n in (19, 18, 17)), None], "No checkpoint could be used"),
    ],
)
def test_a_checkpoint_that_the_api_refuses_is_followed_by_an_older_one(evolution, statuses, bodies, told):
    with evolution.ports() as ports:
        api = Api(ports.api, *statuses)
        found = evolution.recover(ports={"api": api})
    assert api.bodies == [body and {"checkpoint": body} for body in bodies]
    assert found["cure"].verdict is Verdict.OK, "the generations are the proof"
    assert found["checkpoints"].verdict is Verdict.WARNING
    assert found["checkpoints"].summary.startswith(told)


@pytest.mark.faults
def test_an_api_that_is_busy_is_asked_again_by_the_retry(evolution):
    request = evolution.request()
    with evolution.ports() as ports:
        api = Api(ports.api, 503)
        with pytest.raises(TargetUnreachableError, match="answered 503 when it was to resume"):
            evolution.recover(request, ports={"api": api})
        found = evolution.recover(request, ports={"api": api})
    assert found["cure"].verdict is Verdict.OK, found["cure"]
    assert api.bodies[0] == api.bodies[1]


def test_what_somebody_stopped_stays_stopped(evolution):
    with evolution.ports() as ports:
        assert ports.api.post("/api/evolution/stop").status == 200
    request = evolution.request()
    found = evolution.recover(request)
    assert found["cure"].verdict is Verdict.CRITICAL
    assert "It is stopped over the API since " in found["cure"].summary
    assert "*Although stopped*" in found["cure"].hint
    assert untouched(evolution, request)


@pytest.mark.faults
def test_what_somebody_stopped_is_resumed_when_it_is_asked_for(evolution):
    with evolution.ports() as ports:
        assert ports.api.post("/api/evolution/stop").status == 200
    found = evolution.recover(evolution.request(although_stopped=True))
    assert found["cure"].verdict is Verdict.OK, found["cure"]


def test_without_the_api_nobody_knows_and_nothing_is_touched(evolution):
    evolution.system.api.stop()
    request = evolution.request()
    found = evolution.recover(request)
    assert found["cure"].verdict is Verdict.CRITICAL
    assert "Nobody can say whether somebody stopped it on purpose: " in found["cure"].summary
    assert found["diagnosis"].verdict is Verdict.UNKNOWN, "a part was not seen"
    assert "api" in found["diagnosis"].coverage.skipped
    assert untouched(evolution, request)


def test_a_database_that_is_away_for_a_moment_is_waited_for_and_one_that_stays_away_is_an_error(evolution):
    request, settings = evolution.request(), evolution.settings(generation_wait_seconds=1.5)
    with evolution.opened(request, settings=settings) as (recovery, _):
        recovery.diagnose()
        recovery.note_approvals(["deputy"])
        assert recovery.act()
        recovery._ports = replace(recovery._ports, system=replace(recovery._ports.system, database=_Away()))
        with pytest.raises(TargetUnreachableError, match="It is away"):
            recovery.wait()
    with evolution.opened(request) as (recovery, _):
        real, left = recovery._ports.system.database, [1, 2, 3]

        def rows(*asked):
            if left:
                left.pop()
                raise TargetUnreachableError("It is away; look.")
            return real.rows(*asked)

        flaky = SimpleNamespace(rows=rows)
        recovery._ports = replace(recovery._ports, system=replace(recovery._ports.system, database=flaky))
        recovery.wait()
    assert evolution.results(request)["cure"].verdict is Verdict.OK


class _Away:
    def __getattr__(self, _):
        raise TargetUnreachableError("It is away; look.")


def test_without_the_database_nothing_is_known_and_the_rest_is_evidence(evolution):
    with evolution.ports() as ports:
        system = SimpleNamespace(**{name: getattr(ports.system, name) for name in ("objects", "hosts", "api")})
        system.database = _Away()
        found = evolution.recover(evolution.request(), ports={"system": system})
    assert found["cure"].verdict is Verdict.UNKNOWN
    assert "Nobody can say whether the evolution is stalled: It is away; look." in found["cure"].summary
    assert set(found["diagnosis"].coverage.skipped) == {"generation", "locks"}
    seen = {"api", "checkpoints", "services sandbox", "host sandbox", "errors sandbox"}
    assert set(found["diagnosis"].coverage.seen) == seen


def test_a_host_that_is_away_is_not_restarted(evolution):
    with evolution.ports() as ports:
        system = SimpleNamespace(**{name: getattr(ports.system, name) for name in ("objects", "database", "api")})
        system.hosts = {"sandbox": _Away()}
        found = evolution.recover(evolution.request(), ports={"system": system})
    assert "The engine's host cannot be asked: It is away; look." in found["cure"].summary


def test_outside_the_window_another_person_approves(evolution):
    request, clock = evolution.request(), {"clock": lambda: MONDAY}
    with pytest.raises(AccessDeniedError, match="This needs 1 approvals by different people"):
        evolution.recover(request, approved=("lead",), ports=clock)
    assert not evolution.engine.running
    assert "Nothing was touched: it was not begun." in evolution.results(request)["cure"].summary
    with evolution.opened(request) as (recovery, _):
        recovery.note_refusal("director rejected it.")
    refused = evolution.results(request)["cure"]
    assert refused.verdict is Verdict.CRITICAL
    assert refused.summary.startswith("Nothing was touched: director rejected it. ")


@pytest.mark.faults
def test_inside_the_window_or_by_the_settings_nobody_is_asked(evolution):
    found = evolution.recover(approved=(), ports={"clock": lambda: SUNDAY})
    assert found["cure"].verdict is Verdict.OK, found["cure"]
    evolution.as_new()
    evolution.system.break_("stall_evolution")
    settings = evolution.settings(approve_restart=False)
    found = evolution.recover(approved=(), settings=settings, ports={"clock": lambda: MONDAY})
    assert found["cure"].verdict is Verdict.OK, found["cure"]


@pytest.mark.faults
def test_what_came_back_by_itself_meanwhile_is_left_alone(evolution):
    request = evolution.request()
    with evolution.opened(request) as (recovery, _):
        _, decision = recovery.diagnose()
        assert decision.go
        recovery.note_approvals(["deputy"])
        evolution.engine.start()
        before = evolution.engine.pid
        floor = evolution.wait_for_a_generation()
        assert not recovery.act()
    assert evolution.engine.pid == before
    found = evolution.results(request)["cure"]
    assert found.verdict is Verdict.OK
    assert found.summary == f"Nothing was touched. It goes on by itself: generation {floor + 1} came."


@pytest.mark.faults
def test_what_was_stopped_on_purpose_meanwhile_is_left_alone(evolution):
    request = evolution.request()
    with evolution.opened(request) as (recovery, _):
        recovery.diagnose()
        recovery.note_approvals(["deputy"])
        with evolution.ports() as ports:
            ports.api.post("/api/evolution/stop")
        with pytest.raises(InputError, match="The evolution is stopped over the API by now"):
            recovery.act()
    assert not evolution.engine.running


@pytest.mark.faults
def test_an_engine_that_a_failed_run_left_stopped_is_started(evolution):
    evolution.engine.stalls_after = 0
    evolution.engine.start()
    request = evolution.request()
    with evolution.opened(request) as (recovery, _):
        recovery.diagnose()
        recovery.note_approvals(["deputy"])
        recovery._choose_checkpoint = _raise_away
        with pytest.raises(TargetUnreachableError):
            recovery.act()
        assert not evolution.engine.running
        assert recovery.is_half_done
    with evolution.opened(request, ports={"system": _hosts_only(evolution)}) as (recovery, _):
        assert recovery.settle() == "t-developer-evolution was left stopped and was started again."
        assert evolution.engine.running
        assert not recovery.is_half_done
        assert recovery.settle() == "Nothing of this run is half-done."
    assert evolution.results(request)["cure"].verdict is Verdict.CRITICAL
    evolution.engine.stalls_after = None
    evolution.engine.restart()
    evolution.wait_for_a_generation()
    with evolution.opened(request) as (recovery, _):
        assert not recovery.act()
    found = evolution.results(request)["cure"]
    assert (found.verdict, found.summary[:45]) == (Verdict.OK, "The evolution goes on since an earlier try: g")


def test_a_host_that_is_away_holds_up_no_other_that_was_left_stopped(evolution):
    evolution.engine.stalls_after = 0
    settings = evolution.settings()
    [here] = settings.hosts
    settings = settings.model_copy(update={"hosts": (here.model_copy(update={"name": "away"}), here)})
    request, world = evolution.request(), _hosts_only(evolution)
    world.hosts = {"away": _Away(), **world.hosts}
    with evolution.opened(request, settings=settings, ports={"system": world}) as (recovery, _):
        for host in ("away", "sandbox"):
            recovery.journal.note(f"stop on {host}", "done", at=MONDAY.isoformat())
        recovery.journal.note("locks", "done", cleared=[], kept=[])
        with pytest.raises(TargetUnreachableError, match="It is away"):
            recovery.settle()
        assert evolution.engine.running, "the one that can be reached is started"
        assert recovery.is_half_done, "and the other one stays to be done"
        assert recovery.journal.done("stop on sandbox") is None, "it has to be stopped anew before locks are cleared"
        assert recovery.journal.done("locks") is None
        world.hosts["away"] = world.hosts["sandbox"]
        recovery.settle()
        assert not recovery.is_half_done


def _raise_away():
    raise TargetUnreachableError("It is away; look.")


def _hosts_only(evolution):
    """A world of which only the hosts can be reached."""
    with evolution.ports() as ports:
        return SimpleNamespace(database=_Away(), objects=_Away(), api=_Away(), hosts=ports.system.hosts)


def test_the_evidence_is_of_before_and_holds_no_secret(evolution):
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    log = evolution.system.logs / "evolution.log"
    before = log.read_text(encoding="utf-8")
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{stamp} ERROR evolution No login at postgresql://app:hunter2secret@db/t with token=abc123456\n")
    request = evolution.request()
    try:
        with evolution.opened(request) as (recovery, settings):
            first, _ = recovery.diagnose()
            again, _ = recovery.diagnose()
            assert again.taken_at == first.taken_at
            key = recovery.evidence_place.partition(f"{settings.buckets.backups}/")[2]
            assert evidence.kept(recovery._ports.store, settings.buckets.backups, key) == first.to_json()
        text = "\n".join(evolution.results(request)["diagnosis"].details)
    finally:
        log.write_text(before, encoding="utf-8")
    assert "postgresql://app:***@db/t with token=***" in text
    assert "hunter2" not in text + str(first.to_json())
    assert "abc123456" not in text + str(first.to_json())


def test_a_store_that_gives_nothing_back_stops_everything(evolution):
    request = evolution.request()
    with evolution.ports() as ports:
        store = SimpleNamespace(find=lambda *_: None, put=lambda *_args, **_options: None, list=ports.store.list)
        with (
            evolution.opened(request, ports={"store": store}) as (recovery, _),
            pytest.raises(Exception, match="does not give it back; nothing was touched"),
        ):
            recovery.diagnose()
    assert not evolution.engine.running
