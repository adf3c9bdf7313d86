"""What is written in spite of others: theirs stays, the way back stays, and the evolution runs afterwards."""

import json

import pytest

from tdev_operators.core.agents import pause
from tdev_operators.core.agents.run import take_back
from tdev_operators.core.agents.undo_store import Change, UndoStore, sha256
from tdev_operators.core.errors import ProofFailedError, TargetTimeoutError
from tdev_operators.core.ports import HttpAnswer
from tdev_operators.core.verdicts import Verdict
from tests.core.agents.test_run import _change, _without_confinement, heeding, ignoring, planes  # noqa: F401  fixtures


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    _without_confinement(monkeypatch)
    monkeypatch.setattr(pause, "_PATIENCE_SECONDS", 0.6)
    monkeypatch.setattr(pause, "_TICK_SECONDS", 0.01)


def _undo(world):
    return UndoStore(world.ports.store, world.settings)


def _touch(world):
    with world.sql() as sql:
        sql.execute("UPDATE agents SET updated_at = clock_timestamp()")


def test_a_run_that_changes_an_agent_twice_keeps_the_first_source(heeding):  # noqa: F811
    first = _change(heeding, heeding.add(1))
    undo, third = _undo(heeding), b"c = 3\n"
    second = Change(
        **{
            **{name: getattr(first, name) for name in first.__slots__},
            "former": b"new = 1\n",
            "old_hash": first.new_hash,
            "new_hash": sha256(third),
        }
    )
    for change in (first, second):
        undo.begin(change)
        undo.end(change, made=True)
    [joined] = undo.of(first.run)
    assert (joined.former, joined.old_hash, joined.new_hash) == (first.former, first.old_hash, sha256(third))
    assert undo.count(first.run) == 1
    undo.end(second, made=False)
    assert undo.of(first.label) == [first]


def test_what_was_taken_back_is_not_tried_again(heeding):  # noqa: F811
    name = heeding.add(1)
    former = heeding.stored(name)
    heeding.optimise()
    take_back(heeding.ports, heeding.settings, name, heeding.run("undo-1"))
    _, result = heeding.optimise(run_id="agents-run-2")
    assert heeding.stored(name) == former
    assert "taken back by hand" in " ".join(result.details)


def test_a_change_that_cannot_be_made_good_keeps_no_other_one(heeding):  # noqa: F811
    heeding.rules = heeding.rules.model_copy(update={"write_back": False})
    undo, names = _undo(heeding), [heeding.add(1), heeding.add(2)]
    heeding.ports.store.put(heeding.backups, f"{undo.prefix}pending/a.json", b"{}")
    for name in names:
        change = _change(heeding, name)
        undo.begin(change)
        heeding.put(name, b"new = 1\n")
    [stored] = [key for key in undo.pending() if not key.endswith("/a.json") and undo.at(key) == change]
    # Of an earlier version of this code, with what PostgreSQL cannot keep.
    bad = json.loads(change.to_json()) | {"metrics": {"instantiation_us": float("nan")}}
    heeding.ports.store.put(heeding.backups, stored, json.dumps(bad).encode())
    _, result = heeding.optimise()
    assert all(heeding.row(name)[1][-1] == change.new_hash for name in names)
    assert heeding.pending() == [f"{undo.prefix}pending/a.json"]
    assert result.verdict is Verdict.UNKNOWN
    assert "half-done" in result.summary


def test_what_others_wrote_behind_ours_is_not_put_back(heeding):  # noqa: F811
    name = heeding.add(1)
    ports = heeding.ports
    real = ports.sources._port.replace

    def replace(bucket, key, body, **more):
        written = real(bucket, key, body, **more)
        heeding.put(name, b"theirs = 1\n")
        _touch(heeding)
        return written

    ports.sources._port.replace = replace
    type(heeding).ports, kept = property(lambda _: ports), type(heeding).ports
    try:
        _, result = heeding.optimise()
    finally:
        type(heeding).ports = kept
    assert heeding.stored(name) == b"theirs = 1\n"
    assert "row in the registry was changed" in result.summary
    assert heeding.pending() == []


@pytest.mark.parametrize("when", ["before", "between"])
def test_another_version_in_the_registry_is_never_registered_over(heeding, when):  # noqa: F811
    name = heeding.add(1)
    former = heeding.stored(name)
    ports = heeding.ports

    def registered():
        with heeding.sql() as sql:  # and the row of `agents` stays as it was
            sql.execute("INSERT INTO agent_versions SELECT id, 2, %s FROM agents WHERE name = %s", ("e" * 64, name))

    def each(_, sources, **__):
        [(key, source)] = sources.items()
        if when == "before":
            registered()
        yield key, _smaller(source)

    from tdev_operators.core.agents.workers import Workers

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Workers, "each", each)
        if when == "between":
            real = ports.sources._port.replace
            patch.setattr(
                ports.sources._port,
                "replace",
                lambda *args, **more: (real(*args, **more), registered() if more["etag"] == _etag(former) else None)[0],
            )
            patch.setattr(type(heeding), "ports", property(lambda _: ports))
        _, result = heeding.optimise()
    assert "row in the registry was changed" in result.summary
    assert heeding.stored(name) == former
    assert heeding.row(name)[1] == [sha256(former), "e" * 64]


def test_nothing_is_taken_back_where_the_registry_knows_another_code(heeding):  # noqa: F811
    name = heeding.add(1)
    heeding.optimise()
    smaller = heeding.stored(name)
    with heeding.sql() as sql:
        sql.execute("INSERT INTO agent_versions SELECT id, 9, %s FROM agents WHERE name = %s", ("e" * 64, name))
    told, _ = take_back(heeding.ports, heeding.settings, name, heeding.run("undo-1"))
    assert "another code" in told[f"{name} 1.0.0"]
    assert heeding.stored(name) == smaller


def _smaller(source):
    from tdev_operators.core.agents.ladder import Optimised, Sizes

    body = source.replace("    ", " ")
    return Optimised(body, "", ("shorten_text",), {}, Sizes(len(source)), Sizes(len(body)), 5, 90.0)


def _etag(body):
    import hashlib

    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def test_where_conditions_are_ignored_nothing_is_put_back_behind_a_running_evolution(ignoring):  # noqa: F811
    name = ignoring.add(1)
    change = _change(ignoring, name)
    _undo(ignoring).begin(change)
    ignoring.put(name, b"new = 1\n")
    _touch(ignoring)
    _, result = ignoring.optimise()
    assert result.verdict is Verdict.UNKNOWN
    assert "half-done" in result.summary
    assert (ignoring.stored(name), len(ignoring.pending()), ignoring.api.asked) == (b"new = 1\n", 1, [])
    ignoring.rules = ignoring.rules.model_copy(update={"pause_evolution": True, "write_back": False})
    ignoring.optimise()
    assert (ignoring.stored(name), ignoring.pending()) == (change.former, [])
    assert [path.rpartition("/")[2] for path in ignoring.api.asked] == ["stop", "resume"]


def _lost(world, word):
    """Let the answer to this POST be lost, after it was heard."""
    real = world.api.post

    def post(path):
        answer = real(path)
        if path.endswith(word):
            raise TargetTimeoutError("no answer")
        return answer

    world.api.post = post


def _slowly(world):
    """Let the evolution be `stopping` for some looks."""
    real, looks = world.api.get, []

    def get(path):
        looks.append(path)
        if world.api.state == "stopped" and len(looks) % 5:
            return HttpAnswer(200, b'{"status": "stopping"}', "application/json", 0.0)
        return real(path)

    world.api.get = get


@pytest.mark.parametrize("how", ["stop", "resume", "slowly"])
def test_the_evolution_runs_again_whatever_its_answers_do(ignoring, how):  # noqa: F811
    ignoring.rules = ignoring.rules.model_copy(update={"pause_evolution": True})
    name = ignoring.add(1)
    _slowly(ignoring) if how == "slowly" else _lost(ignoring, how)
    _, result = ignoring.optimise()
    assert result.verdict is Verdict.OK
    assert ignoring.agrees(name)
    assert (ignoring.api.state, ignoring.pending()) == ("running", [])


@pytest.mark.parametrize("who", ["run", "undo", "run that fails"])
def test_a_mark_of_a_dead_run_is_looked_at_first(ignoring, who, monkeypatch):  # noqa: F811
    """Killed between the mark and the stop, or between resume and unmark: it runs, and a resume is refused."""
    world = ignoring
    _undo(world).mark_pause()
    real = world.api.post
    world.api.post = lambda path: HttpAnswer(409, b"", "", 0.0) if world.api.state == "running" else real(path)
    for state in ("running", "stopped"):
        world.api.state = state
        _undo(world).mark_pause()
        if who == "undo":
            take_back(world.ports, world.settings, "nobody", world.run("undo-1"))
        elif who == "run":
            world.optimise()
        else:
            monkeypatch.setattr(UndoStore, "pending", lambda _: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                world.optimise()
            monkeypatch.undo()
        assert (world.api.state, _undo(world).is_paused_by_us) == ("running", False)


def test_an_evolution_that_does_not_run_again_keeps_its_mark(ignoring):  # noqa: F811
    _undo(ignoring).mark_pause()
    ignoring.api.state, ignoring.api.deaf = "stopped", True
    with pytest.raises(ProofFailedError, match="by hand"):
        ignoring.optimise()
    assert _undo(ignoring).is_paused_by_us
