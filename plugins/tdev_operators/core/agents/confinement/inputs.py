"""Arguments for a function of which only the signature is known: the same for the same name, in every process.

Values are drawn from what the annotation, the default or the name of a parameter suggests, with the edges of each kind
among them, and with constants of the agent's own source, which are what its branches ask for. It is no hypothesis:
that would have to live beside the hostile code, must shrink nothing here, and takes a third of a second to load.
"""

import inspect
import re
import typing
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

_NUMBERS = (0, 1, -1, 2, 3, 5, 7, 12, 40)
_FLOATS = (0.0, 1.0, -1.0, 0.5, 0.05, 0.95, 2.5, -3.25, 10.0, 63.5, 1e9, float("nan"), float("inf"))
_WORDS = ("", "a", "low", "value=1.5 other=-2", "x=1", "agent", "Ünïcode \u2603", "two words", "[1, 2]")
_MANY = re.compile(
    r"s$|list|population|genome|left|right|window|sample|history|queue|batch|data|sequence|array|vector", re.IGNORECASE
)
_TEXT = re.compile(r"name|line|text|word|key|label|title|path|prefix|message|kind|word|tag$", re.IGNORECASE)
_COUNT = re.compile(r"count|width|height|size|length|limit|rounds|number|index|depth|seed|level|steps|at$|^n$|^k$|^i$")
_CALL = re.compile(r"func|callback|make|work|key$|factory|rule$|^f$|^fn$|predicate|handler")


def _identity(value: Any, *_: Any) -> Any:
    return value


def _length(value: Any, *_: Any) -> Any:
    return len(str(value))


_RARELY, _SOMETIMES, _HALF, _OFTEN = 0.08, 0.3, 0.5, 0.6

_CALLABLES: tuple[Callable[..., Any], ...] = (_identity, _length, float)


class Inputs:
    """Draws arguments. `constants` are the numbers and texts of the agent's original source."""

    def __init__(self, name: str, constants: Sequence[Any]) -> None:
        self._random = Random(f"tdev {name}")  # noqa: S311  no secret
        self._texts = [*_WORDS, *(one for one in constants if isinstance(one, str))]
        numbers = [one for one in constants if isinstance(one, (int, float)) and abs(one) <= 100]  # noqa: PLR2004
        self._floats = [*_FLOATS, *(near for one in numbers for near in (one, one - 0.01, one + 0.01))]
        self._ints = [*_NUMBERS, *(int(one) for one in numbers)]

    def calls(self, signature: inspect.Signature, count: int) -> Iterator[tuple[list[Any], dict[str, Any]]]:
        """Yield so many argument lists; a function without parameters is called twice, for what it remembers."""
        parameters = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        for place in range(count if parameters else min(count, 2)):
            arguments: list[Any] = []
            named: dict[str, Any] = {}
            for parameter in parameters:
                if parameter.kind is parameter.VAR_POSITIONAL:
                    arguments += [self._float() for _ in range(self._random.randrange(3))]
                elif parameter.default is not parameter.empty and (place % 2 == 0 or self._random.random() < _HALF):
                    # By name from here on, or what follows would take its place.
                    if parameter.kind is parameter.POSITIONAL_ONLY:
                        break
                    continue
                elif parameter.kind is parameter.KEYWORD_ONLY or named or parameter.default is not parameter.empty:
                    if parameter.kind is not parameter.POSITIONAL_ONLY:
                        named[parameter.name] = self._value(parameter)
                    else:
                        arguments.append(self._value(parameter))
                else:
                    arguments.append(self._value(parameter))
            yield arguments, named

    def _value(self, parameter: inspect.Parameter) -> Any:
        if "seed" in parameter.name:  # None would ask for chance
            return self._random.choice(self._ints)
        if self._random.random() < _RARELY:  # what it does not expect
            return self._any()
        if parameter.annotation is not parameter.empty:
            made, value = self._annotated(parameter.annotation)
            if made:
                return value
        default = parameter.default
        if default is not parameter.empty and default is not None:
            return self._like(default)
        name = parameter.name
        if _CALL.search(name):
            return self._random.choice(_CALLABLES)
        if _TEXT.search(name):
            return self._random.choice(self._texts)
        if _COUNT.search(name):
            return self._random.choice(self._ints)
        if _MANY.search(name):
            return self._many()
        return self._any() if self._random.random() < _SOMETIMES else self._float()

    def _annotated(self, annotation: Any) -> tuple[bool, Any]:
        if isinstance(annotation, str):
            plain = annotation.partition("[")[0].strip().rpartition(".")[2].lower()
        else:
            origin = typing.get_origin(annotation) or annotation
            plain = getattr(origin, "__name__", str(origin)).lower()
        for kinds, make in _MAKERS.items():
            if plain in kinds:
                return True, make(self, "str" in str(annotation))
        return False, None

    def _like(self, default: Any) -> Any:
        match default:
            case bool():
                return self._random.random() < _HALF
            case int():
                return self._random.choice([*self._ints, default])
            case float():
                return self._random.choice([*self._floats, default])
            case str():
                return self._random.choice([*self._texts, default])
            case tuple():
                return tuple(self._many(text=self._random.random() < _HALF))
            case list() | set() | frozenset():
                return type(default)(self._many(text=self._random.random() < _HALF))
            case dict():
                return self._table()
            case _:
                return default

    def _float(self) -> float:
        if self._random.random() < _OFTEN:
            return round(self._random.uniform(-5, 70), 2)
        return float(self._random.choice(self._floats))

    def _many(self, *, text: bool = False) -> list[Any]:
        length = self._random.choice((0, 1, 2, 3, 5, 8, 20))
        if text:
            return [self._random.choice(self._texts) for _ in range(length)]
        if self._random.random() < _SOMETIMES:
            return [self._random.choice(self._ints) for _ in range(length)]
        scale = self._random.choice((1.0, 1.0, 10.0, 70.0))
        return [round(self._random.uniform(-0.2, 1) * scale, 3) for _ in range(length)]

    def _table(self) -> dict[str, float]:
        return {self._random.choice(self._texts): self._float() for _ in range(self._random.randrange(4))}

    def _any(self) -> Any:
        match self._random.randrange(7):
            case 0:
                return self._random.choice(self._texts)
            case 1:
                return self._random.choice(self._ints)
            case 2:
                return self._many()
            case 3:
                return self._many(text=True)
            case 4:
                return self._table()
            case 5:
                return None
            case _:
                return self._float()


# By annotation; the second argument says whether it is of texts.
_MAKERS: dict[tuple[str, ...], Callable[[Inputs, bool], Any]] = {
    ("int",): lambda draw, _: draw._random.choice(draw._ints),  # noqa: SLF001  they are its own
    ("float", "complex", "number"): lambda draw, _: draw._float(),  # noqa: SLF001
    ("bool",): lambda draw, _: draw._random.random() < _HALF,  # noqa: SLF001
    ("str",): lambda draw, _: draw._random.choice(draw._texts),  # noqa: SLF001
    ("bytes",): lambda draw, _: draw._random.choice(draw._texts).encode(),  # noqa: SLF001
    ("list", "sequence", "iterable", "iterator", "collection"): lambda draw, text: draw._many(text=text),  # noqa: SLF001
    ("tuple",): lambda draw, text: tuple(draw._many(text=text)),  # noqa: SLF001
    ("set", "frozenset"): lambda draw, text: set(draw._many(text=text)),  # noqa: SLF001
    ("dict", "mapping", "mutablemapping"): lambda draw, _: draw._table(),  # noqa: SLF001
    ("callable",): lambda draw, _: draw._random.choice(_CALLABLES),  # noqa: SLF001
}
