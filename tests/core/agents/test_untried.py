"""What our own tools or barriers did not do is no word about an agent: it is untried, and the result is not green."""

import threading
import types
from threading import Event

import pytest

from tdev_operators.core.agents import worker
from tdev_operators.core.agents.candidates import Candidate, Registered, candidates
from tdev_operators.core.agents.confinement.house import Held, House, _understood
from tdev_operators.core.agents.confinement.probes import BARRIERS
from tdev_operators.core.agents.conversation import Conversation
from tdev_operators.core.agents.judging import Work, optimiser_result
from tdev_operators.core.agents.ladder import Goal, Optimised, optimise
from tdev_operators.core.agents.pass_limits import at_most
from tdev_operators.core.agents.passes import Pass, pass_names, pass_of
from tdev_operators.core.agents.workers import Workers, _Worker
from tdev_operators.core.errors import AccessDeniedError, CommandFailedError, ProofFailedError, SetupMissingError
from tdev_operators.core.ports import ObjectInfo, utc_now
from tdev_operators.core.settings import load_settings
from tdev_operators.core.sql import include_dir
from tdev_operators.core.verdicts import Verdict
from tests.core.agents.conftest import EVERY_PASS, RULES, rules_with
from tests.core.agents.test_confinement import LIMITS, QUESTION

SETTINGS = load_settings(include_dir() / "tdev.toml")
HELD = Held(dict.fromkeys(BARRIERS, ""), ())
AGENT = Registered("1", "one 1.0.0", "one/1.0.0.py", 6.3, "", "c" * 64)


def test_what_cannot_be_read_or_is_not_known_is_untried():
    known = Registered("2", "two 1.0.0", "two/1.0.0.py", 6.3, "", None)
    infos = [ObjectInfo(one.key, 6300, "e", utc_now()) for one in (AGENT, known)]
    store = types.SimpleNamespace(
        list=lambda _: infos,
        read_many=lambda *_: [(infos[0], AccessDeniedError("It answered 403.")), (infos[1], b"x = 1\n")],
    )
    found = list(candidates(types.SimpleNamespace(store=store), SETTINGS, [AGENT, known]))
    assert [one.untried for one in found] == [True, True]
    result = optimiser_result(Work({one.agent.key: one for one in found}), HELD, SETTINGS, writes=True)
    assert result.verdict is Verdict.UNKNOWN
    assert "403" in result.summary
    figures = {one.name: one.value for one in result.measurements}
    assert (figures["left alone"], figures["not tried"]) == (0, 2)
    assert "one 1.0.0: not tried" in result.details[0]


def test_what_broke_in_our_hands_is_not_left_alone():
    done = {AGENT.key: Optimised(None, "what tries it broke: gone", untried=True)}
    work = Work({AGENT.key: Candidate(AGENT, 6300)}, done)
    assert optimiser_result(work, HELD, SETTINGS, writes=True).verdict is Verdict.UNKNOWN
    work.done[AGENT.key] = Optimised(None, "nothing in it can be called")
    assert optimiser_result(work, HELD, SETTINGS, writes=True).verdict is Verdict.OK


def test_a_barrier_that_cannot_be_put_up_any_more_is_no_word_of_the_agent():
    ended = {"output": '{"barrier": "No such file"}', "exit": 97}
    with pytest.raises(CommandFailedError, match="cannot be put up"):
        _understood({**ended, "begun": False}, LIMITS)
    assert _understood({**ended, "begun": True}, LIMITS).data == {"barrier": "No such file"}


@pytest.mark.parametrize(
    "source",
    [
        'import os\nos.write(3, b\'{"barrier": "x"}\')\nos._exit(97)\n',
        "import os\nos.write(3, b'\\0' * 900_000)\nos._exit(0)\n",
        'import os\nos.write(3, b\'{"defect": ""}\')\nos._exit(0)\n',
        "import os\nos.write(3, b'{\"defect\": [[]]}')\nos._exit(0)\n",
    ],
    ids=["barrier", "null bytes", "defect", "defect list"],
)
def test_no_word_of_an_agent_costs_more_than_that_agent(source):
    with House(LIMITS) as house:
        done = optimise(house, source + "def one():\n    return 1\n", RULES, EVERY_PASS)
        assert (done.source, done.untried) == (None, False)
        assert house.run("record", {**QUESTION, "source": "def one():\n    return 1\n"}).data["error"] == ""


@pytest.mark.parametrize(
    "told", ['{"before": NaN, "after": NaN}', '{"before": -1, "after": 1}', '{"before": 1, "after": 1e999}']
)
def test_a_time_that_is_none_is_not_believed(told):
    house = types.SimpleNamespace()
    real = House(LIMITS)
    with real:
        house.run = lambda what, asked: (
            _understood({"begun": True, "output": told}, LIMITS) if what == "race" else real.run(what, asked)
        )
        source = "# a comment\nclass A:\n    def add(self, one: int):\n        return one + 1\n"
        done = optimise(house, source, rules_with(passes=("shorten_text",), minimum_coverage_percent=0), EVERY_PASS)
    assert done.source is None
    assert "cannot be timed" in done.refusal


def test_an_error_in_our_own_hands_costs_one_agent(monkeypatch):
    monkeypatch.setattr(worker, "optimise", lambda *_: 1 / 0)
    done = worker._optimised(None, "x = 1\n", RULES, EVERY_PASS)
    assert (done.source, done.untried) == (None, True)


def test_a_pass_that_a_source_keeps_busy_is_cut_off():
    def busy():
        while True:
            try:
                while True:
                    pass
            except Exception:  # noqa: BLE001  as libraries do
                pass

    with pytest.raises(ProofFailedError, match="processor time"), at_most(0.05):
        busy()
    with pytest.raises(ProofFailedError, match="memory"), at_most(5):
        raise MemoryError
    threads = []
    thread = threading.Thread(target=lambda: threads.append(at_most(1).__enter__()))
    thread.start()
    thread.join()
    assert threads == [None]


def test_each_pass_can_say_what_it_lacks():
    assert [pass_of(name).lacks() for name in pass_names()] == [""] * len(pass_names())
    assert "ZeroDivisionError" in Pass("x", "", None, None, lambda: 1 / 0).lacks()


def test_a_worker_that_lacks_a_tool_says_so_before_any_agent(monkeypatch):
    monkeypatch.setattr(Conversation, "ask", lambda *_, **__: {"lacks": "The pass x cannot be applied here (no ruff)."})
    with pytest.raises(SetupMissingError, match="no ruff"), Workers(RULES, EVERY_PASS):
        pass


def test_whoever_is_left_starts_no_process_again():
    stopping = Event()
    one = _Worker(RULES, Goal(6.0, 6.5, 3.0), stopping)
    stopping.set()
    assert one.optimised("x = 1\n", 1.0).untried
    assert one._conversation is None


def test_whoever_waits_for_an_answer_is_let_go_when_its_program_is_ended():
    ended = []
    with Conversation(["sleep", "600"], env={}, answer_bytes=10) as opened:

        def wait():
            try:
                opened.hear(seconds=600)
            except CommandFailedError as error:
                ended.append(error)

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
    thread.join(30)
    assert len(ended) == 1
