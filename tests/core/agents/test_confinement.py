"""Every barrier is tried before an agent runs; one that is left out is found."""

import os
import re
import resource
import shutil
import tempfile
from pathlib import Path

import pytest

import tdev_operators
from tdev_operators.core.agents.confinement import barriers
from tdev_operators.core.agents.confinement.barriers import Limits
from tdev_operators.core.agents.confinement.house import Held, House
from tdev_operators.core.agents.confinement.probes import BARRIERS

LIMITS = Limits(2, 3, 256, 1 << 20)
QUESTION = {"module": "agent", "constants": [], "calls": 4, "agents": 1, "cover": False, "imported": []}

# What is left out, and which barriers must be missed for it. Some stand doubly: one of the two is enough.
SABOTAGE = (
    (("seccomp",), {"other programs", "writing files"}),
    (("landlock",), {"reading files", "writing files"}),
    (("limits",), {"memory", "processor time"}),
    (("capabilities", "seccomp"), {"privileges", "other programs"}),
    (("capabilities",), {"privileges"}),
    (("no_new_privs",), {"privileges"}),
    (("seccomp", "namespaces", "landlock"), {"network", "other programs", "other processes"}),
    (("environment",), {"environment"}),
    (("descriptors",), {"descriptors"}),
    (("clock",), {"wall clock"}),
)


def test_every_barrier_holds_here():
    with House(LIMITS) as house:
        held = house.probe()
    assert held.missing == (), held.sentence
    assert set(held.broken) == set(BARRIERS)
    assert "seccomp" in held.made_of


@pytest.mark.seeded(3)
@pytest.mark.parametrize(("without", "missed"), SABOTAGE, ids=lambda value: "-".join(sorted(value)))
def test_one_that_is_left_out_is_found(without, missed):
    with House(LIMITS, without=without) as house:
        held = house.probe()
    assert missed <= set(held.missing), held.broken
    assert held.sentence.startswith("The barrier against ")


@pytest.mark.parametrize("name", ["FSIZE", "NOFILE", "NPROC", "CORE"])
def test_a_limit_that_is_not_as_it_was_set_is_found(package_for_all, name):
    changed = package_for_all / "tdev_operators" / "core" / "agents" / "confinement" / "barriers.py"
    set_all = "for kind, most in _limits(limits).items():\n            resource.setrlimit"
    assert set_all in changed.read_text()
    changed.write_text(
        changed.read_text().replace(
            set_all,
            f"for kind, most in _limits(limits).items():\n            if kind == resource.RLIMIT_{name}: continue\n"
            "            resource.setrlimit",
        )
    )
    if name == "CORE" and resource.getrlimit(resource.RLIMIT_CORE) == (0, 0):
        return  # nobody may write a core here, so there is nothing to leave out
    with House(LIMITS, package=package_for_all) as house:
        assert "resource limit" in house.probe().sentence


def test_what_is_installed_beside_the_library_cannot_be_read(house):
    source = (
        "import os\ndef listed(name='site-packages'):\n"
        "    return sorted(os.listdir(os.path.join(os.path.dirname(os.__file__), name)))\n"
        "try:\n    listed()\nexcept PermissionError:\n    raise ValueError('shut')\n"
    )
    assert "shut" in house.run("record", {**QUESTION, "source": source}).data["error"]
    for module in (
        "wsgiref.handlers",
        "xml.dom.minidom",
        "wave",
        "email.mime.text",
    ):  # and the library itself still can
        assert house.run("record", {**QUESTION, "source": f"import {module}\n"}).data["error"] == ""


def test_a_probe_reads_what_is_installed(package_for_all):
    barrier = package_for_all / "tdev_operators" / "core" / "agents" / "confinement" / "barriers.py"
    barrier.write_text(barrier.read_text().replace('"site-packages", "dist-packages"', ""))
    probe = package_for_all / "tdev_operators" / "core" / "agents" / "confinement" / "probes.py"
    probe.write_text(probe.read_text().replace("in INSTALLED]", "in ('site-packages',)]"))
    with House(LIMITS, package=package_for_all) as house:
        assert "reading files" in house.probe().missing


def test_each_mechanism_is_left_out_by_a_test():
    assert {one for without, _ in SABOTAGE for one in without} == set(barriers.MECHANISMS)


def test_where_none_was_tried_none_holds():
    assert Held({}, ()).missing == BARRIERS
    assert "it was not tried" in Held({}, ()).sentence


def test_it_holds_for_a_worker_who_is_not_root_and_may_make_no_namespace(package_for_all):
    if os.geteuid() != 0:
        pytest.skip("this worker is not root: every other test here is about that")
    with House(
        LIMITS, without=("namespaces",), python="/usr/bin/python3", user="nobody", package=package_for_all
    ) as house:
        held = house.probe()
        answer = house.run("record", {**QUESTION, "source": "def double(value):\n    return value * 2\n"})
    assert held.missing == (), held.broken
    assert [name for name, _ in answer.data["calls"]][:2] == ["double", "double#0"]


def test_where_no_filter_can_be_made_nothing_holds(monkeypatch, package_for_all):
    filters = package_for_all / "tdev_operators" / "core" / "agents" / "confinement" / "seccomp.py"
    filters.write_text(filters.read_text().replace("libseccomp.so.2", "libnothing.so.9"))
    with House(LIMITS, package=package_for_all) as house:
        held = house.probe()
    assert held.missing == BARRIERS
    assert "libnothing.so.9" in held.sentence


def test_without_landlock_no_file_is_opened_at_all(package_for_all):
    kernel = package_for_all / "tdev_operators" / "core" / "agents" / "confinement" / "kernel.py"
    kernel.write_text(kernel.read_text().replace("return max(0, version)", "return 0"))
    with House(LIMITS, package=package_for_all) as house:
        held = house.probe()
        warm = house.run(
            "record", {**QUESTION, "source": "import json\ndef told(value):\n    return json.dumps(value)\n"}
        )
        cold = house.run("record", {**QUESTION, "source": "import sqlite3\n"})
    assert held.missing == (), held.broken
    assert "no landlock" in " ".join(held.made_of)
    assert warm.data["error"] == ""
    assert "Error" in cold.data["error"]


@pytest.mark.seeded(4)
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("while True:\n    pass\n", "processor time|did not end"),
        ("import time\ntime.sleep(60)\n", "did not end within"),
        ("import os\nos._exit(0)\n", "no answer"),
        ("kept = bytearray(1 << 30)\n", ""),
        ("import os\nwhile True:\n    os.fork()\n", ""),
        ("import os\nos.write(3, b'x' * (1 << 22))\n", ""),
        ("raise SystemExit(3)\n", "broke off"),
        ("import ctypes\nctypes.string_at(0)\n", "signal 11"),
    ],
    ids=["loop", "sleep", "exit", "gigabyte", "forks", "flood", "system exit", "crash"],
)
def test_whatever_code_does_there_is_an_answer_and_the_next_is_served(house, source, said):
    answer = house.run("record", {**QUESTION, "source": source})
    if said:
        assert re.search(said, answer.refusal)
    else:
        assert answer.refusal or answer.data["error"]
    after = house.run("record", {**QUESTION, "source": "def one():\n    return 1\n"})
    assert after.data["error"] == ""


def test_what_code_leaves_behind_no_other_sees(house):
    house.run("record", {**QUESTION, "source": "import json, builtins\njson.dumps = len\nbuiltins.mark = 1\n"})
    source = "import json\ndef told():\n    return json.dumps([1]), hasattr(__builtins__, 'mark')\n"
    first = house.run("record", {**QUESTION, "source": source})
    assert first.data["calls"] == house.run("record", {**QUESTION, "source": source}).data["calls"]


@pytest.fixture
def package_for_all():
    """A copy of the package that every user may read, and a test may change."""
    folder = Path(tempfile.mkdtemp(prefix="tdev-test-package-"))
    folder.chmod(0o755)
    origin = Path(tdev_operators.__file__).parent
    for name in ("__init__.py", "core/__init__.py", "core/agents/__init__.py"):
        (folder / "tdev_operators" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(origin / name, folder / "tdev_operators" / name)
    shutil.copytree(origin / "core/agents/confinement", folder / "tdev_operators/core/agents/confinement")
    yield folder
    shutil.rmtree(folder)
