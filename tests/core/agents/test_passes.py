"""What each pass does, what it leaves alone, and that its own look at both trees finds a change too many."""
# ruff: noqa: E501  a source in a line

import pytest

from tdev_operators.core.agents.passes import pass_names, pass_of
from tdev_operators.core.errors import ProofFailedError
from tests.core.agents.conftest import RULES, SHIPPED, rules_with


def applied(name, source, rules=RULES):
    changed = pass_of(name).apply(source, rules)
    assert pass_of(name).difference(source, changed) == ""
    return changed


def test_every_file_is_a_pass_and_the_shipped_settings_name_it():
    assert set(SHIPPED.passes) == set(pass_names())
    for name in pass_names():
        assert pass_of(name).about.endswith("."), name


def test_the_guides_passes_come_in_the_guides_order():
    guide = ["remove_unused_imports", "minimise_names", "use_slots", "lazy_load_resources", "compress_strings"]
    assert [name for name in SHIPPED.passes if name in guide] == guide


def test_unused_imports_go_and_those_that_may_matter_stay():
    source = (
        '"""Doc."""\nfrom __future__ import annotations\nimport os, json\nimport csv as table\nimport numpy\nimport readline\n'
        "from typing import Any, Optional\nfrom string import Template as Template\ntry:\n    import tomllib\n"
        'except ImportError:\n    tomllib = None\n__all__ = ["f", "Optional"]\ndef f():\n    return json.dumps(1)\n'
    )
    changed = applied("remove_unused_imports", source)
    assert "os" not in changed.split("def")[0].replace("numpy", "")
    assert "Any" not in changed
    for kept in ("json", "numpy", "readline", "annotations", "Optional", "tomllib", "Template as Template"):
        assert kept in changed, kept
    public = rules_with(imported_names_are_public=True)
    assert applied("remove_unused_imports", "import os\nimport csv as _csv\n", public) == "import os\n"


def test_an_import_is_kept_where_names_are_reached_by_text():
    with pytest.raises(ProofFailedError, match="by eval"):
        pass_of("remove_unused_imports").apply("import os\ndef f(text):\n    return eval(text)\n", RULES)


@pytest.mark.parametrize(
    "source",
    [
        "import urllib\nfrom urllib.parse import urlencode\ndef f(x):\n    return urllib.parse.quote(x)\n",
        "import concurrent\nfrom concurrent import futures\ndef f():\n    return concurrent.futures.Future()\n",
        "from xml import dom\nimport xml.dom.minidom\ndef f():\n    return dom.minidom.Document()\n",
    ],
)
def test_an_import_that_hangs_a_submodule_on_its_package_stays(source):
    assert applied("remove_unused_imports", source) == source
    unused = next(line for line in source.splitlines() if "urlencode" in line or "futures" in line or "minidom" in line)
    assert pass_of("remove_unused_imports").difference(source, source.replace(f"{unused}\n", "")) != ""


@pytest.mark.parametrize(
    "use", ["concurrent.futures.Future()", "getattr(concurrent, 'futures')"], ids=["by name", "by text"]
)
def test_no_import_goes_where_another_one_may_have_loaded_what_is_reached(use):
    source = f"import asyncio\nimport concurrent\ndef f():\n    return {use}\n"
    with pytest.raises(ProofFailedError, match=r"concurrent"):
        pass_of("remove_unused_imports").apply(source, RULES)
    assert "concurrent" in pass_of("remove_unused_imports").difference(source, source.partition("\n")[2])


def test_an_unused_submodule_goes_where_nothing_else_of_its_package_is_there():
    assert applied("remove_unused_imports", "from urllib.parse import quote\nx = 1\n") == "x = 1\n"
    assert (
        applied("remove_unused_imports", "import logging, csv\nx = logging.INFO\n")
        == "import logging\nx = logging.INFO\n"
    )


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("import os\nx = 1\n", "x = 2\n", "more than imports"),
        ("import os\nx = os\n", "x = os\n", "is used"),
        ("import numpy\nx = 1\n", "x = 1\n", "nobody knows"),
    ],
)
def test_more_than_an_unused_import_is_a_difference(before, after, why):
    assert why in pass_of("remove_unused_imports").difference(before, after)


def test_text_gets_shorter_and_what_is_compiled_stays():
    source = '# a comment\ndef f(value):\n    """Doc."""\n\n    if value :\n        return   value + 1  # why\n    return None\n'
    changed = applied("shorten_text", source)
    assert len(changed) < 0.8 * len(source)
    assert '"""Doc."""' in changed or "'Doc.'" in changed
    assert pass_of("shorten_text").difference(source, changed.replace("+1", "+2")) == "the tree changed"


RENAMED = '''
LIMIT = 3
def outer(values, *rest, key=None):
    """Doc."""
    total_of_all = 0
    everything = [value_inside * 2 for value_inside in values]
    def inner_function(argument):
        nonlocal total_of_all
        intermediate = argument + LIMIT
        total_of_all += intermediate
        return [other_value for other_value in everything if other_value > intermediate], lambda one: one + intermediate
    try:
        answer_of_inner = inner_function(3)
    except ValueError as problem_found:
        answer_of_inner = problem_found
    class Local:
        attribute_name = total_of_all
    return answer_of_inner, total_of_all, Local.attribute_name, key
'''


def test_local_names_get_short_and_what_others_can_tell_stays():
    changed = applied("minimise_names", RENAMED)
    for gone in ("total_of_all", "everything", "value_inside", "intermediate", "answer_of_inner", "problem_found"):
        assert gone not in changed, gone
    for kept in ("LIMIT", "outer", "values", "rest", "key", "inner_function", "argument", "Local", "attribute_name"):
        assert kept in changed, kept
    before, after = {}, {}
    exec(RENAMED, before)
    exec(changed, after)
    assert repr(before["outer"]([1, 5])[1:]) == repr(after["outer"]([1, 5])[1:])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def f():\n a=1;b=2;return a\n", "def f():\n a=1;b=2;return b\n"),
        ("def f():\n a=1;b=2;return a-b\n", "def f():\n a=1;a=2;return a-a\n"),
        ("def f(a):\n return a\n", "def f(b):\n return b\n"),
        ("x=1\ndef f():\n y=2;return x\n", "x=1\ndef f():\n x=2;return x\n"),
        (
            "def f():\n a=1\n def g():\n  return a\n return g\n",
            "def f():\n a=1\n def g():\n  a=2;return a\n return g\n",
        ),
        ("def f():\n a=1\n def g():return a\n return g\n", "def f():\n b=1\n def g():return a\n return g\n"),
        ("class A:\n x=1\n", "class A:\n y=1\n"),
        ("x=1\n", "y=1\n"),
        ("def f():\n return [a for a in b]\n", "def f():\n return [b for b in b]\n"),
        ("def f(o):\n return o.a\n", "def f(o):\n return o.b\n"),
        ("def f():\n return True\n", "def f():\n return 1\n"),
        ("def f():\n return 0.0\n", "def f():\n return -0.0\n"),
        ("def f():\n a=1\n def g():return a\n return g\n", "def f():\n a=1\n def h():return a\n return h\n"),
        ("def f(*, a=1):\n return a\n", "def f(a=1):\n return a\n"),
        ("def f():\n global a\n a=1\n", "def f():\n global b\n b=1\n"),
        ("def f():\n try:\n  pass\n except E as e:\n  e\n", "def f():\n try:\n  pass\n except E as g:\n  e\n"),
    ],
)
def test_a_renaming_that_is_none_of_locals_is_a_difference(before, after):
    if "[b for b in b]" in after:  # the first b is the module's, the others are the comprehension's: that is right
        assert pass_of("minimise_names").difference(before, after) == ""
    else:
        assert pass_of("minimise_names").difference(before, after) != ""


@pytest.mark.parametrize("trick", ["locals()", "vars()", "eval('x')", "exec('x')", "globals()['x']", "dir()"])
def test_no_local_is_renamed_where_names_are_reached_by_text(trick):
    with pytest.raises(ProofFailedError, match="it reaches names by"):
        pass_of("minimise_names").apply(f"def f():\n    long_name = 1\n    return {trick}\n", RULES)


SLOTTED = '''
class Counter:
    """Counts."""

    def __init__(self, start, step=1):
        self.value, self.step = start, step
        self._seen = []

    def add(self, much):
        self.value += much * self.step
        self._seen.append(much)
        return self.value
'''


def test_a_class_whose_attributes_are_known_gets_slots():
    changed = applied("use_slots", SLOTTED)
    assert '__slots__ = ("value","step","_seen")' in changed
    made = {}
    exec(changed, made)
    assert not hasattr(made["Counter"](1), "__dict__")
    assert made["Counter"](1).add(2) == 3


@pytest.mark.parametrize(
    ("what", "source"),
    [
        ("a class attribute", SLOTTED.replace('"""Counts."""', "step = 3")),
        ("slots already", SLOTTED.replace('"""Counts."""', '__slots__ = ("value", "step", "_seen", "__dict__")')),
        ("a base", SLOTTED.replace("Counter:", "Counter(Exception):")),
        ("a metaclass", SLOTTED.replace("Counter:", "Counter(metaclass=type):")),
        ("a dataclass", "from dataclasses import dataclass\n@dataclass" + SLOTTED),
        ("a subclass", SLOTTED + "class More(Counter):\n    pass\n"),
        ("an attribute of elsewhere", SLOTTED.replace("return self.value", "self.late = 1\n        return self.value")),
        ("an attribute by condition", SLOTTED.replace("self._seen = []", "if start:\n            self._seen = []")),
        ("an early return", SLOTTED.replace("self._seen = []", "if start: return\n        self._seen = []")),
        ("an attribute from outside", SLOTTED + "def mark(one):\n    one.mark = 1\n"),
        (
            "an attribute by a static method",
            SLOTTED + "\nclass Marks:\n    @staticmethod\n    def mark(one):\n        one.owner = 1\n",
        ),
        (
            "an attribute by a class method",
            SLOTTED
            + "\nclass Marks:\n    @classmethod\n    def mark(cls, one):\n        cls = one\n        cls.owner = 1\n",
        ),
        ("a deletion", SLOTTED.replace("return self.value", "del self.value")),
        ("its own getattr", SLOTTED + "\n    def __getattr__(self, name):\n        return 1\n"),
        ("a cached property", SLOTTED + "\n    @lru_cache\n    def other(self):\n        return 1\n"),
        ("a property of that name", SLOTTED + "\n    @property\n    def value(self):\n        return 1\n"),
    ],
    ids=lambda value: value if " " in str(value) and len(str(value)) < 40 else "",
)
def test_a_class_of_which_that_cannot_be_known_gets_none(what, source):
    assert applied("use_slots", source) == source


@pytest.mark.parametrize(
    "trick", ["setattr(one, 'x', 1)", "vars(one)", "one.__dict__", "__import__('pickle').dumps(one)", "one.__class__"]
)
def test_no_slots_where_attributes_are_reached_by_text(trick):
    with pytest.raises(ProofFailedError, match="it reaches attributes by"):
        pass_of("use_slots").apply(f"{SLOTTED}\ndef f(one):\n    return {trick}\n", RULES)
    with pytest.raises(ProofFailedError, match="pickle"):
        pass_of("use_slots").apply(f"import pickle\n{SLOTTED}", RULES)


TABLE = "_WEIGHTS = {" + ", ".join(f'"word{n}": {n}' for n in range(20)) + "}\n"


@pytest.mark.parametrize(
    "before", ["", '"""Doc."""\n', "import math\n", "'Doc.';import math;x=1;", "@staticmethod\ndef g():pass\n"]
)
def test_a_private_table_is_made_when_it_is_asked_for(before):
    source = f"{before}{TABLE}def weight(word):\n    return _WEIGHTS.get(word, len(_WEIGHTS))\n"
    changed = applied("lazy_load_resources", source)
    assert "def _WEIGHTS():return" in changed
    made = {}
    exec(changed, made)
    assert (made["weight"]("word3"), made["weight"]("x")) == (3, 20)
    assert made["_WEIGHTS"]() is made["_WEIGHTS"]()


@pytest.mark.parametrize(
    "source",
    [
        TABLE.replace("_WEIGHTS", "WEIGHTS") + "def f():\n    return WEIGHTS\n",
        TABLE + "def f(_WEIGHTS):\n    return _WEIGHTS\n",
        TABLE + "def f(x=_WEIGHTS):\n    return x\n",
        TABLE + "def f():\n    global _WEIGHTS\n    _WEIGHTS = 1\n",
        TABLE + "_WEIGHTS['more'] = 1\ndef f():\n    return _WEIGHTS\n",
        TABLE + "def f(x):\n    match x:\n        case {'a': 1, **_WEIGHTS}:\n            return _WEIGHTS\n",
        TABLE + "def f(x):\n    match x:\n        case [1, *_WEIGHTS]:\n            return _WEIGHTS\n",
        TABLE + "def f(x):\n    match x:\n        case {'a': 1} as _WEIGHTS:\n            return _WEIGHTS\n",
        TABLE + "class A:\n    table = _WEIGHTS\n",
        TABLE.replace('"word3": 3', '"word3": f()') + "def f():\n    return _WEIGHTS\n",
        '__all__ = ["_WEIGHTS"]\n' + TABLE + "def f():\n    return _WEIGHTS\n",
    ],
    ids=[
        "public",
        "parameter",
        "default",
        "assigned again",
        "changed",
        "rest",
        "star",
        "as",
        "class",
        "not constant",
        "in __all__",
    ],
)
def test_a_table_that_somebody_may_miss_stays(source):
    assert applied("lazy_load_resources", source) == source


LONG = "All work and no play makes this agent a dull one, says the report of the morning. " * 12


@pytest.mark.parametrize("before", ['"""Doc."""\n', "", "'Doc.';import math\n", "from __future__ import annotations\n"])
def test_a_long_text_is_packed(before):
    source = (
        f"{before}def told():\n    return{LONG!r}\ndef other():\n    return f'{{told()}}' + ({LONG!r}\n      'more')\n"
    )
    changed = applied("compress_strings", source)
    assert len(changed) < 0.5 * len(source)
    made = {}
    exec(changed, made)
    assert (made["told"](), made["other"]()) == (LONG, LONG + LONG + "more")


@pytest.mark.parametrize(
    "source",
    [
        f'def f():\n    """{LONG}"""\n',
        f"def f(x):\n    return f'{{x}} {LONG}'\n",
        f"__all__ = [{LONG!r}]\n",
        "x = 'short'\n",
    ],
    ids=["docstring", "formatted", "dunder", "short"],
)
def test_a_text_that_must_stay_one_stays(source):
    assert applied("compress_strings", source) == source


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("use_slots", SLOTTED, SLOTTED.replace('"""Counts."""', '"""Counts."""\n    __slots__ = ("value", "step")')),
        ("lazy_load_resources", TABLE + "def f():\n    return _WEIGHTS\n", TABLE + "def f():\n    return 1\n"),
        ("compress_strings", "def f():\n    return 'one'\n", "def f():\n    return 'two'\n"),
    ],
)
def test_each_pass_finds_a_change_that_is_not_its_own(name, before, after):
    assert pass_of(name).difference(before, after) != ""
