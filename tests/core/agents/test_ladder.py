"""No wrong optimisation: each rung of the ladder catches its own, and hostile agents are left alone with a reason."""
# ruff: noqa: E501  a source in a line

import re
from pathlib import Path

import pytest

from sandbox.agent_sources import agent_source
from tdev_operators.core.agents import ladder
from tdev_operators.core.agents.ladder import Goal, Optimised, optimise
from tdev_operators.core.agents.passes import Pass
from tdev_operators.core.agents.worker import house_of
from tests.core.agents.conftest import EVERY_PASS, RULES, rules_with

AGENT = '''
"""An agent."""
import json
import calendar

# It weighs values.
class Weigher:
    def __init__(self, threshold=0.5):
        self.threshold = threshold
        self.seen = 0

    def __call__(self, values):
        """Weigh them.

        >>> Weigher()([1.0, 0.1])
        0.6
        """
        total_of_all = 0.0
        for one_value in values:
            if one_value > self.threshold:
                total_of_all += one_value
            else:
                total_of_all -= 4 * one_value
        self.seen += len(values)
        return round(total_of_all, 3)


LIMITS = {"low": 1, "high": 3}


def report(name, score):
    return json.dumps({"name": name, "score": score})


def create_agent():
    return Weigher()
'''


def with_pass(monkeypatch, change, *, difference=lambda *_: ""):
    """Let there be one pass only: this one."""
    one = Pass("wrong", "It is wrong.", lambda source, _: change(source), difference)
    monkeypatch.setattr(ladder, "pass_of", lambda _: one)
    return rules_with(passes=("wrong",))


def test_an_agent_gets_smaller_and_behaves_as_before(house):
    done = optimise(house, AGENT, RULES, EVERY_PASS)
    assert done.passes == ("remove_unused_imports", "shorten_text", "minimise_names")
    assert "brings nothing" in done.rolled_back["use_slots"]
    assert done.after.source < 0.8 * done.before.source
    assert done.coverage_percent == 100
    assert done.asked > 50
    assert done.instantiation_us[0] < 3
    made = {"__name__": "made"}
    exec(done.source, made)
    assert made["create_agent"]()([1.0, 0.1]) == 0.6
    assert Optimised.from_json(done.to_json()) == done


def test_passes_stop_where_the_agent_is_small_enough(house):
    done = optimise(house, AGENT, RULES, Goal(len(AGENT.encode()) / 1024 - 0.005, 6.5, 3.0))
    assert done.passes == ("remove_unused_imports",)


def test_by_footprint_what_instances_hold_counts(house):
    rules = rules_with(measure="footprint", footprint_agents=100)
    done = optimise(house, AGENT, rules, EVERY_PASS)
    assert "use_slots" in done.passes
    assert done.after.footprint < done.before.footprint
    assert done.after.source > done.before.source - 20
    large = optimise(house, AGENT, rules, Goal(0.001, 0.1, 3.0))
    assert "use_slots" not in large.passes
    assert "above 0.1 KB" in large.rolled_back["use_slots"]


@pytest.mark.seeded(7)
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda s: s.replace("0.5", "0.6"), "does not offer Weigher.__init__"),
        (lambda s: s.replace("self.seen += len(values)", "pass"), "does not come out as before"),
        (lambda s: s.replace("# It weighs values.\n", "").replace("4 * one", "3 * one"), "does not come out as before"),
        (lambda s: s.replace(", 3)", ")").replace("round(total_of_all", "float(total_of_all"), "does not come out"),
        (lambda s: s.replace("def report(name, score)", "def report(name, points)").replace("score}", "points}"), "offer"),
        (lambda s: s.replace("def report", "def _port"), "does not offer report"),
        (lambda s: s.replace("score})", "score}"), "does not parse"),
        (lambda s: s.replace("# It weighs values.\n", "x=1\n"), "does not offer x"),
        (lambda s: s.replace("import json\n", "") + "#", "does not come out as before"),
        (lambda s: s.replace('"high": 3', '"high":4'), "LIMITS does not come out as before"),
        (lambda s: s + "# longer\n", "brings nothing"),
        (lambda s: s.replace("# It weighs values.", "raise OSError"), "cannot be loaded"),
        (lambda s: s.replace("# It weighs values.", "while 1: 0"), "processor time|did not end"),
        (lambda s: s.replace("# It weighs values.\n", "").replace("        0.6", "        6"), "doctests fail"),
        (lambda s: s.replace("    return Weigher()", "    for _ in range(99):Weigher\n    return Weigher()")
            .replace("# It weighs values.\n", "").replace("import calendar\n", ""), "making one takes"),
    ],
    ids=["constant", "state", "branch", "rounding", "parameter", "name", "syntax", "new name", "import", "value", "longer",
         "raises", "endless", "doctest", "slower"],
)  # fmt: skip
def test_a_wrong_pass_is_taken_back(house, monkeypatch, change, why):
    rules = with_pass(monkeypatch, change)
    goal = Goal(0.001, 6.5, 0.001) if why.startswith("making") else EVERY_PASS
    assert change(AGENT) != AGENT
    done = optimise(house, AGENT, rules, goal)
    assert done.source is None
    assert re.search(why, done.rolled_back["wrong"]), done.rolled_back
    assert done.rolled_back["wrong"] in done.refusal


def test_what_the_pass_says_of_itself_is_enough_to_take_it_back(house, monkeypatch):
    rules = with_pass(monkeypatch, lambda s: s.replace("# It weighs values.\n", ""), difference=lambda *_: "it is off")
    assert optimise(house, AGENT, rules, EVERY_PASS).rolled_back == {"wrong": "it is off"}


def test_a_pass_that_fails_is_taken_back_and_the_next_is_tried(house, monkeypatch):
    real = ladder.pass_of
    broken = Pass("shorten_text", "Wrong.", lambda source, _: source.replace("0.5", ".6"), lambda *_: "")
    monkeypatch.setattr(ladder, "pass_of", lambda name: broken if name == "shorten_text" else real(name))
    done = optimise(house, AGENT, RULES, EVERY_PASS)
    assert "shorten_text" in done.rolled_back
    assert done.passes == ("remove_unused_imports", "minimise_names")


PICKLED = AGENT.replace("import json", "import json\nimport pickle") + (
    "\n\ndef packed(threshold=1):\n    return pickle.dumps(Weigher(threshold))\n"
)
# It finds the pipe on which it is heard.
WRITE = (
    "import os\ndef write(what):\n    for number in range(3, 32):\n        try:\n            return os.write(number, what)\n"
    "        except OSError:\n            pass\n"
)
# What is refused whole, by which reason; or which passes it may not have.
HOSTILE = {
    "syntax error": ("def f(:\n    pass\n" + AGENT, "does not parse (line 1"),
    "null byte": ("x = 1\0\n" + AGENT, "does not parse"),
    "endless at load": ("while True:\n    pass\n" + AGENT, "processor time|did not end"),
    "endless in a call": (
        AGENT + "".join(f"\ndef loop_{n}(x=1):\n    while True:\n        x += 1\n" for n in range(3)),
        "do not come to an end",
    ),
    "sleeps": ("import time\ntime.sleep(99)\n" + AGENT, "did not end within"),
    "fork bomb": ("import os\nwhile True:\n    os.fork()\n" + AGENT, "PermissionError"),
    "threads": ("import threading\nthreading.Thread(target=print).start()\n" + AGENT, "cannot be loaded"),
    "one gigabyte": ("kept = bytearray(1 << 30)\n" + AGENT, "MemoryError"),
    "network": ("import socket\nsocket.create_connection(('127.0.0.1', 80))\n" + AGENT, "PermissionError"),
    "program": ("import subprocess\nsubprocess.run(['id'])\n" + AGENT, "PermissionError"),
    "file written": ("open('/tmp/tdev-agent-was-here', 'w')\n" + AGENT, "PermissionError"),
    "file read": ("open('/etc/passwd').read()\n" + AGENT, "PermissionError"),
    "kills its parent": ("import os\nos.kill(os.getppid(), 9)\n" + AGENT, "PermissionError"),
    "exits": ("import os\nos._exit(0)\n" + AGENT, "no answer"),
    "system exit": ("raise SystemExit\n" + AGENT, "broke off"),
    "floods": (WRITE + "for _ in range(99): write(b'x' * 99999)\n" + AGENT, "more than"),
    "chance": ("import os\n" + AGENT.replace("self.seen = 0", "self.seen = os.urandom(4)"), "not the same twice"),
    "clock": (AGENT.replace("return round(", "import time\n        return time.time() + round("), "not the same twice"),
    "reads its own source": ("import inspect\n" + AGENT, "looks at itself (inspect"),
    "exec": (AGENT + "\ndef g(x=1):\n    exec('x = 2')\n    return x\n", "looks at itself (exec"),
    "reads its own source by text": (
        AGENT + "\ndef g():\n    return len(__import__('inspect').getsource(Weigher))\n",
        "looks at itself (__import__",
    ),
    "reads its frame": ("import sys\nsys._getframe()\n" + AGENT, "looks at itself (_getframe"),
    "nothing to call": ("x = 1\n", "nothing in it can be called"),
    "mostly never run": (AGENT + "\ndef deep(x):\n    if x == 'the word':\n" + "        x += 1\n" * 30, "run through"),
    "not there": ("import module_that_is_not_there\n" + AGENT, "ModuleNotFoundError"),
    "forges an answer": (
        WRITE + 'write(b\'{"error":"","names":[],"calls":[],"doctests":[0,0],"ran":1,"lines":1,"endless":[],'
        '"footprint":null,"instance":null}\')\nos._exit(0)\n' + AGENT,
        "nothing in it can be called",
    ),
    "forges our own words": (
        WRITE + 'write(b\'{"barrier": "\\\\u001b[31m"}\')\nos._exit(97)\n' + AGENT,
        "our recorder does not tell",
    ),
    "forges no words": (WRITE + 'write(b\'{"defect": ""}\')\nos._exit(0)\n' + AGENT, "broke off"),
    "forges nonsense": (WRITE + "write(b'[' * 90000)\nos._exit(0)\n" + AGENT, "no answer"),
    "forges wrong kinds": (
        WRITE + 'write(b\'{"error":"","names":[],"calls":[[1,2]]}\')\nos._exit(0)\n' + AGENT,
        "our recorder does not tell",
    ),
}
# What keeps to the law: what it may not have, and what it still may.
TRICKS = {
    "globals()": (AGENT + "\ndef g():\n    return sorted(globals())[:0]\n", ("remove_unused_imports", "minimise_names")),
    "getattr": (AGENT + "\ndef g(x=1):\n    return getattr(Weigher(), 'seen')\n", ()),
    "setattr": (AGENT + "\ndef g(x=1):\n    w = Weigher()\n    setattr(w, 'more', x)\n    return w\n", ("use_slots",)),
    "pickles": (PICKLED, ("use_slots",)),
    "metaclass": (
        AGENT.replace("class Weigher:", "class Meta(type):\n    def __call__(cls, *a):\n        return super().__call__(*a)"
        "\n\n\nclass Weigher(metaclass=Meta):"), ("use_slots",)),
    "dataclass": (
        "from dataclasses import dataclass, fields\n" + AGENT + "\n@dataclass\nclass D:\n    a: int = 1\n    b: str = 'x'\n"
        "    def told(self):\n        return [(f.name, getattr(self, f.name)) for f in fields(self)]\n", ()),
    "slots with class attributes": (
        AGENT + "\nclass S:\n    __slots__ = ('a',)\n    b = 1\n    def __init__(self):\n        self.a = 2\n", ()),
    "class attributes": (AGENT.replace("def __init__", "seen = 1\n    def __init__"), ("use_slots",)),
    "enum and named tuple": (
        "from enum import Enum\nfrom typing import NamedTuple\n" + AGENT + "\nclass E(Enum):\n    A = 1\n\n\nclass N(NamedTuple)"
        ":\n    a: int = 1\n\n\ndef g(x=1):\n    return E.A, N(x)\n", ()),
    "properties": (AGENT + "\n    @property\n".replace("    @", "class P:\n    @") + "    def p(self):\n        return 4\n", ()),
    "async": (AGENT + "\nimport asyncio\nasync def later(x=1):\n    await asyncio.sleep(0)\n    return x\n", ()),
    "waits for what never comes": (
        AGENT + "\nimport asyncio\ndef wait(x=1):\n    async def inner():\n        await asyncio.Queue().get()\n"
        "    return asyncio.run(inner())\n", ()),
    "warns once a line": (
        AGENT + "\nimport warnings\ndef g(x: int):\n    warnings.warn('slow')\n    warnings.warn('slow')\n    return x\n",
        ("shorten_text", "minimise_names")),
    "warns": (AGENT + "\nimport warnings\ndef g(x: int):\n    warnings.warn('slow')\n    return x\n", ()),
    "prints and logs": (AGENT + "\nimport logging\ndef g(x=1):\n    print(x)\n    logging.warning('%s', x)\n", ()),
}  # fmt: skip


@pytest.mark.seeded(7)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_agent_is_left_alone_and_says_why(house, name):
    source, why = HOSTILE[name]
    done = optimise(house, source, RULES, EVERY_PASS)
    assert done.source is None
    assert re.search(why.replace("(", r"\("), done.refusal), done.refusal
    assert not Path("/tmp/tdev-agent-was-here").exists()
    assert done.refusal.isprintable()


@pytest.mark.seeded(6)
@pytest.mark.parametrize("measure", ["source", "footprint"])
@pytest.mark.parametrize("name", TRICKS)
def test_a_trick_keeps_what_would_be_wrong_away(house, name, measure):
    source, never = TRICKS[name]
    done = optimise(house, source, rules_with(measure=measure, footprint_agents=100), EVERY_PASS)
    assert not set(never) & set(done.passes), done.passes
    if measure == "source" and "shorten_text" not in never:
        assert "shorten_text" in done.passes, done
        before, after = {"__name__": "m"}, {"__name__": "m"}
        if "D" not in source.split("class")[-1]:
            exec(source, before)
            exec(done.source, after)
            assert before["create_agent"]()([1.0, 9, -4]) == after["create_agent"]()([1.0, 9, -4])


def test_pydantic_models_are_loaded_from_where_the_settings_say_and_keep_their_fields():
    import pydantic

    source = AGENT + (
        "\nfrom pydantic import BaseModel\nclass Model(BaseModel):\n    long_name_of_field: int = 3\n    other: list[str] = []\n"
        "\n\ndef build(value=1):\n    model_of_it = Model(long_name_of_field=value)\n    return model_of_it.model_dump()\n"
    )
    # Its compiled part wants the system's libraries, too.
    folders = (
        str(Path(pydantic.__file__).parent.parent),
        "/lib/x86_64-linux-gnu",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib64",
    )
    rules = rules_with(confinement={"library_folders": folders, "memory_mb": 512})
    with house_of(RULES) as alone, house_of(rules) as furnished:
        assert "No module named 'pydantic'" in optimise(alone, source, RULES, EVERY_PASS).refusal
        done = optimise(furnished, source, rules, EVERY_PASS)
    assert "minimise_names" in done.passes, done
    assert "long_name_of_field" in done.source
    assert "model_of_it" not in done.source


@pytest.mark.parametrize("number", range(2))
def test_the_sandboxs_agents_get_smaller(house, number):
    source = agent_source("ladder", number, 6300).source
    done = optimise(house, source, RULES, Goal(6.0, 6.5, 3.0))
    assert done.source is not None, done.refusal
    assert done.after.source <= 6.0 * 1024 < done.before.source


def test_no_program_of_ours_is_left_behind():
    with house_of(RULES) as house:
        pid = house._zygote._command.pid
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()
