"""Values as text that is equal when they are: without addresses, bounded in size, whatever their class thinks of it."""

import enum
import functools
import hashlib
import inspect
import itertools
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_DEPTH = 6
_ITEMS = 200
_DRAWN = 20  # of an iterator
_ATOMS = (int, float, complex, bool, str, bytes, bytearray, type(None), type(Ellipsis))


def told(value: Any, module: str, depth: int = _DEPTH) -> str:
    """Return the text. Instances of the module's own classes are told by their state; iterators are used up a bit."""
    kind = type(value)
    if kind in _ATOMS:
        return repr(value)
    if depth <= 0:
        return f"<{kind.__qualname__}>"
    again = functools.partial(told, module=module, depth=depth - 1)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(value, (RecursionError, MemoryError)):  # their texts depend on where it was too much
        return name
    if isinstance(value, BaseException):
        return f"{name}({', '.join(map(again, value.args))})"
    if isinstance(value, enum.Enum):
        return f"{name}.{value.name}"
    if isinstance(value, dict):
        pairs = (f"{again(key)}: {again(inner)}" for key, inner in itertools.islice(value.items(), _ITEMS))
        return f"{name}{{{', '.join(pairs)}}}{len(value)}"
    if isinstance(value, (list, tuple)):
        return f"{name}[{', '.join(map(again, value[:_ITEMS]))}]{len(value)}"
    if isinstance(value, (set, frozenset)):
        return f"{name}{{{', '.join(sorted(map(again, itertools.islice(value, _ITEMS))))}}}{len(value)}"
    return _object(value, module, again, name)


def _object(value: Any, module: str, again: Callable[[Any], str], name: str) -> str:
    """Tell what is no plain container."""
    kind = type(value)
    if isinstance(value, (types.FunctionType, types.MethodType, types.BuiltinFunctionType, type, types.ModuleType)):
        return f"<{kind.__name__} {getattr(value, '__qualname__', value.__name__)}>"
    if kind.__module__ == module:
        return f"{name}({', '.join(f'{key}={again(inner)}' for key, inner in state_of(value))})"
    if isinstance(value, Iterator):
        return f"<iterator of {', '.join(map(again, itertools.islice(value, _DRAWN)))}>"
    return _plainly(value, name)


def state_of(value: Any) -> list[tuple[str, Any]]:
    """Return the attributes of an instance by name, wherever it keeps them: a dict, slots, or both."""
    state = dict(getattr(value, "__dict__", {}))
    for owner in type(value).__mro__:
        slots = owner.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if name.startswith("__") and not name.endswith("__"):
                name = f"_{owner.__name__.lstrip('_')}{name}"  # noqa: PLW2901
            descriptor = owner.__dict__.get(name)
            if inspect.ismemberdescriptor(descriptor):
                try:
                    state[name] = descriptor.__get__(value, type(value))
                except AttributeError:
                    continue
    return sorted(state.items())


def digest(text: str) -> str:
    """Return a short digest of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _plainly(value: Any, name: str) -> str:
    text = repr(value)
    return name if " at 0x" in text or len(text) > 10_000 else f"{name} {text}"  # noqa: PLR2004


def size_of(value: Any, module: str, seen: set[int]) -> int:
    """Return the bytes of an instance with what it holds, shared classes, functions and modules left out."""
    if id(value) in seen or isinstance(value, (type, types.ModuleType, types.BuiltinFunctionType)):
        return 0
    seen.add(id(value))
    size = sys.getsizeof(value)
    inner: Iterable[Any] = ()
    if isinstance(value, dict):
        inner = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        inner = value
    elif isinstance(value, types.FunctionType):
        inner = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
    elif type(value).__module__ == module:
        inner = [held for _, held in state_of(value)]
        size += sys.getsizeof(value.__dict__) if hasattr(value, "__dict__") else 0
    return size + sum(size_of(one, module, seen) for one in inner)


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False
