"""Calls everything that an agent's module offers and tells what came of it; runs where nothing can be broken.

The same question to the same code gets the same answer, or else the agent is not deterministic and left alone. What
is told here comes out of a process in which hostile code ran: the other side holds it against another such process, and
believes no word beyond that.
"""

import asyncio
import contextlib
import doctest
import functools
import gc
import inspect
import io
import random
import statistics
import sys
import time
import tracemalloc
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tdev_operators.core.agents.confinement.inputs import Inputs
from tdev_operators.core.agents.confinement.surroundings import (
    FILE,
    EndlessError,
    bounded,
    covering,
    lines_of_functions,
    quiet,
)
from tdev_operators.core.agents.confinement.values import digest, size_of, told

_ENDLESS = "endless"
_SKIPPED = ("__class__", "__init_subclass__", "__new__", "__del__", "__subclasshook__", "__class_getitem__")
_ROUNDS, _BATCH = 15, 200


def record(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Load a source and call what it defines.

    `asked` has `source`, `module`, `constants` and `imported` names (of the original), `calls` (a callable's), `agents`
    (how many are made to see what they hold), and `cover`: whether the lines that ran are told instead. The answer has
    `calls`, pairs of what was called and a digest of what came of it.
    """
    told_of = _Recording(asked["module"], asked["constants"], asked["calls"], asked["agents"], asked["imported"])
    with quiet(told_of.printed), covering(told_of.ran, wanted=asked["cover"]) as watch:
        told_of.watch = watch
        module = told_of.load(asked["source"], measured=not asked["cover"])
        if module is not None:
            told_of.drive(module)
    return told_of.answer()


def race(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Time how long an agent takes to be made, before and after, in turns; microseconds, medians; None without one."""
    makers: list[Callable[[], object]] = []
    with quiet(io.StringIO()):
        for source in (asked["before"], asked["after"]):
            recording = _Recording(asked["module"], (), 1)
            module = recording.load(source, measured=False)
            maker = None if module is None else maker_of(module)
            if maker is None:
                return {"before": None, "after": None}
            makers.append(maker)
        taken: tuple[list[float], list[float]] = ([], [])
        for turn in range(2 * _ROUNDS):
            maker = makers[turn % 2]
            began = time.perf_counter()
            for _ in range(_BATCH):
                maker()
            taken[turn % 2].append((time.perf_counter() - began) / _BATCH * 1e6)
    return {"before": statistics.median(taken[0][1:]), "after": statistics.median(taken[1][1:])}


def maker_of(module: types.ModuleType) -> Callable[[], object] | None:
    """Return what makes an agent without arguments: `create_agent`, else its first class that can be made so."""
    names = ["create_agent", *(name for name, value in vars(module).items() if isinstance(value, type))]
    for name in names:
        maker = vars(module).get(name)
        if not callable(maker) or getattr(maker, "__module__", None) != module.__name__:
            continue
        try:
            maker()
        except Exception:  # noqa: BLE001, S112  whatever it wants, it is not this
            continue
        return maker  # type: ignore[no-any-return]
    return None


class _Recording:
    """What was called, and what came of it."""

    def __init__(
        self, module: str, constants: Iterable[Any], count: int, agents: int = 1, imported: Iterable[str] = ()
    ) -> None:
        self.module, self.constants, self.count, self.agents = module, list(constants), count, agents
        self.imported = frozenset(imported)
        self.calls: list[tuple[str, str]] = []
        self.names: list[str] = []
        self.error = ""
        self.stuck: list[str] = []
        self.watch: Callable[[], None] = lambda: None
        self.ran: set[int] = set()
        self.lines: set[int] = set()
        self.doctests: tuple[int, int] = (0, 0)
        self.footprint: int | None = None
        self.instance: int | None = None
        self.printed = io.StringIO()

    def answer(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "error": self.error,
            "names": self.names,
            "calls": self.calls,
            "ran": len(self.ran & self.lines),
            "lines": len(self.lines),
            "doctests": list(self.doctests),
            "endless": self.stuck,
            "footprint": self.footprint,
            "instance": self.instance,
        }

    def load(self, source: str, *, measured: bool) -> types.ModuleType | None:
        """Run the source as a module; what it raises is kept as the error."""
        module = types.ModuleType(self.module)
        sys.modules[self.module] = module  # dataclasses and pickle look themselves up there
        _set_chance()
        try:
            code = compile(source, FILE, "exec", dont_inherit=True)
            self.lines = set(lines_of_functions(code))
            self._import_first(code)
            if measured:
                gc.collect()
                tracemalloc.start()
            exec(code, vars(module))  # noqa: S102  that is what this process is for
            if measured:
                self._measure(module)
        except EndlessError:
            self.error = "endless"
            return None
        except Exception as error:  # noqa: BLE001  anything may come
            self.error = f"{type(error).__name__}: {error}"[:300]
            return None
        self.names = sorted(name for name in vars(module) if not name.startswith("__"))
        return module

    def _import_first(self, code: types.CodeType) -> None:
        """Import what it will import, so that it is not counted as the agent's own memory."""
        for name in (name for name in code.co_names if name in sys.stdlib_module_names and name not in sys.modules):
            with contextlib.suppress(Exception):
                if name not in ("antigravity", "this"):
                    __import__(name)

    def _measure(self, module: types.ModuleType) -> None:
        try:
            maker = maker_of(module)
            made = [maker() for _ in range(self.agents)] if maker else []
            gc.collect()
            self.footprint = tracemalloc.get_traced_memory()[0]
            self.instance = size_of(made[0], self.module, set()) if made else None
        finally:
            tracemalloc.stop()

    def drive(self, module: types.ModuleType) -> None:
        """Call every function, class and method that the module defines, and look at its public values, by name."""
        for name, value in sorted(vars(module).items()):
            if getattr(value, "__module__", None) != self.module:
                if name not in self.imported and not name.startswith("_") and not callable(value):
                    self._note(name, told(value, self.module))
            elif isinstance(value, type):
                self._drive_class(name, value)
            elif callable(value):
                self._drive_callable(name, value, self.count)
        self._run_doctests(module)

    def _drive_callable(self, name: str, function: Callable[..., Any], count: int, depth: int = 2) -> None:
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            return
        self._note(name, f"signature {signature}" if " at 0x" not in str(signature) else "signature")
        for place, (arguments, named) in enumerate(Inputs(name, self.constants).calls(signature, count)):
            answer = self._call(f"{name}#{place}", function, arguments, named)
            if answer is _ENDLESS:
                return
            if depth and place < 4 and self._is_ours(answer):  # noqa: PLR2004  what it makes is the agent
                self._drive_made(f"{name}#{place}()", answer, depth - 1)

    def _is_ours(self, value: Any) -> bool:
        if isinstance(value, type):
            return False
        return (isinstance(value, types.FunctionType) and value.__module__ == self.module) or (
            type(value).__module__ == self.module
        )

    def _drive_made(self, name: str, made: Any, depth: int) -> None:
        if isinstance(made, types.FunctionType):
            self._drive_callable(name, made, self.count // 2, depth)
            return
        for method in self._methods(type(made)):
            self._drive_callable(f"{name}.{method}", _bound(made, method), max(2, self.count // 2), 0)
        self._note(name, told(made, self.module))

    def _drive_class(self, name: str, kind: type) -> None:
        try:
            signature = inspect.signature(kind)
        except (TypeError, ValueError):
            return
        self._note(name, f"class {[base.__qualname__ for base in kind.__mro__]} {signature}")
        for place, (arguments, named) in enumerate(Inputs(name, self.constants).calls(signature, 8)):
            made = self._call(f"{name}#{place}", kind, arguments, named)
            if made is _ENDLESS:
                return
            if type(made) is kind and place < 4:  # noqa: PLR2004
                self._drive_made(f"{name}#{place}", made, 0)
                self._try_attributes(f"{name}#{place}", made)

    def _try_attributes(self, name: str, made: Any) -> None:
        """Read every attribute, and ask for what comparing, hashing and copying come to."""
        for attribute in sorted(dir(type(made))):
            if isinstance(inspect.getattr_static(type(made), attribute), property):
                self._call(f"{name}.{attribute}", functools.partial(getattr, made, attribute), [], {})
        for ask in (bool, hash_kind, repr_kind):
            self._call(f"{name} {ask.__name__}", ask, [made], {})

    def _methods(self, kind: type) -> Iterator[str]:
        names = {name for owner in kind.__mro__ if owner.__module__ == self.module for name in vars(owner)}
        for name in sorted(names - set(_SKIPPED) - {"__init__"}):
            value = inspect.getattr_static(kind, name)
            if isinstance(value, (types.FunctionType, staticmethod, classmethod)):
                yield name

    def _call(self, name: str, function: Callable[..., Any], arguments: list[Any], named: dict[str, Any]) -> Any:
        _set_chance()
        self.watch()
        before = self.printed.tell()
        answer: Any = None
        try:
            with bounded():
                try:
                    answer = function(*arguments, **named)
                    if inspect.iscoroutine(answer):
                        answer = asyncio.run(answer)
                    text = told(answer, self.module)
                except Exception as error:  # noqa: BLE001  that is its answer
                    text = f"raised {told(error, self.module)}"
                text += f" | {told(arguments, self.module)} {told(named, self.module)}"
        except EndlessError:
            answer, text = _ENDLESS, _ENDLESS
            self.stuck.append(name.partition("#")[0])
        except (SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError) as error:
            text = f"raised {type(error).__name__}"
        self.printed.seek(before)
        self._note(name, f"{text} | {self.printed.read()}")
        return answer

    def _note(self, name: str, text: str) -> None:
        self.calls.append((name, digest(text)))

    def _run_doctests(self, module: types.ModuleType) -> None:
        runner = doctest.DocTestRunner(verbose=False)
        for test in doctest.DocTestFinder(exclude_empty=True).find(module, self.module):
            if test.examples:
                _set_chance()
                runner.run(test, out=lambda _: None, clear_globs=False)
        self.doctests = (runner.tries, runner.failures)


def hash_kind(value: Any) -> str:
    """Return whether it can be hashed: by what it holds, or by who it is."""
    hash(value)
    return "by identity" if vars(object)["__hash__"] is type(value).__hash__ else "its own"


def repr_kind(value: Any) -> str:
    """Return its own text, if it has one."""
    return "" if vars(object)["__repr__"] is type(value).__repr__ else repr(value)


def _bound(made: Any, method: str) -> Callable[..., Any]:
    return getattr(made, method)  # type: ignore[no-any-return]


def _set_chance() -> None:
    random.seed(20_261_130)
