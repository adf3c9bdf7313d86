"""Whether two sources are the same but for the names of locals, by Python's own symbol tables."""

import ast
import symtable
from collections.abc import Iterator
from typing import Any, TypeAlias

from tdev_operators.core.agents.source_rules import parsed

_Home: TypeAlias = tuple[int, ...]  # the way from the module to a function, by place among its siblings

_COMPREHENSIONS = {
    ast.ListComp: "listcomp",
    ast.SetComp: "setcomp",
    ast.DictComp: "dictcomp",
    ast.GeneratorExp: "genexpr",
}
_NAMES = {  # fields that hold a name of the scope in which they stand
    (ast.Name, "id"), (ast.ExceptHandler, "name"), (ast.MatchAs, "name"), (ast.MatchStar, "name"),
    (ast.MatchMapping, "rest"), (ast.Global, "names"), (ast.Nonlocal, "names"),
}  # fmt: skip


class _DifferentError(Exception):
    """The two differ in more than that."""


def renamed_otherwise(before: str, after: str) -> str:
    """Return what else than names of locals differs; empty when nothing does."""
    try:
        old, new = (_Scope.of(symtable.symtable(source, "<agent>", "exec")) for source in (before, after))
        walk = _Walk()
        walk.pair(parsed(before), parsed(after), old, new)
    except _DifferentError as error:
        return str(error)
    except RecursionError:
        return "it is nested too deeply to be compared"
    return ""


class _Scope:
    """One table, what is inside it, and the way to it."""

    def __init__(self, table: symtable.SymbolTable, home: _Home, outer: "_Scope | None") -> None:
        self.table, self.home, self.outer = table, home, outer
        self._inner = [_Scope(inner, (*home, place), self) for place, inner in enumerate(table.get_children())]
        self._entered: set[int] = set()

    @classmethod
    def of(cls, table: symtable.SymbolTable) -> "_Scope":
        return cls(table, (), None)

    def enter(self, name: str, line: int) -> "_Scope":
        """Return the next scope inside that has this name and line."""
        for place, inner in enumerate(self._inner):
            if place not in self._entered and (inner.table.get_name(), inner.table.get_lineno()) == (name, line):
                self._entered.add(place)
                return inner
        raise _DifferentError(f"the scope {name} of line {line} cannot be found")

    def home_of(self, name: str) -> _Home | None:
        """Return the function of which a name is a local; None for a name of the module, a class, or a built-in."""
        try:
            symbol = self.table.lookup(name)
        except KeyError:
            raise _DifferentError(f"nobody knows where {name} belongs") from None
        if symbol.is_global():
            return None
        if symbol.is_local():
            return self.home if self.table.get_type() == "function" and not symbol.is_parameter() else None
        scope = self.outer
        while scope is not None:
            if scope.table.get_type() == "function" and name in scope.table.get_identifiers():
                inner = scope.table.lookup(name)
                if inner.is_parameter():
                    return None
                if inner.is_local():
                    return scope.home
            scope = scope.outer
        return None


class _Walk:
    """Walks two trees side by side and keeps which local became which."""

    def __init__(self) -> None:
        self._forth: dict[tuple[_Home, str], str] = {}
        self._back: dict[tuple[_Home, str], str] = {}

    def pair(self, old: Any, new: Any, old_scope: _Scope, new_scope: _Scope) -> None:
        """Compare two nodes, or lists of them, or plain values."""
        if type(old) is not type(new):
            raise _DifferentError(f"a {type(old).__name__} became a {type(new).__name__}")
        if isinstance(old, list):
            if len(old) != len(new):
                raise _DifferentError("there are more or fewer statements or parts")
            for left, right in zip(old, new, strict=True):
                self.pair(left, right, old_scope, new_scope)
        elif isinstance(old, ast.AST):
            self._node(old, new, old_scope, new_scope)
        elif old != new or repr(old) != repr(new):  # 1 is True, and 0.0 is -0.0, but for their text
            raise _DifferentError(f"{str(old)[:40]!r} became {str(new)[:40]!r}")

    def _node(self, old: ast.AST, new: ast.AST, old_scope: _Scope, new_scope: _Scope) -> None:
        if isinstance(old, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            if getattr(old, "type_params", ()):
                raise _DifferentError("it has type parameters, whose scopes are not compared here")
            self._inside(old, new, old_scope, new_scope)
        elif type(old) in _COMPREHENSIONS:
            self._comprehension(old, new, old_scope, new_scope)
        else:
            for field, value in ast.iter_fields(old):
                self._field(old, new, field, value, old_scope, new_scope)

    def _field(self, old: ast.AST, new: ast.AST, field: str, value: Any, old_scope: _Scope, new_scope: _Scope) -> None:
        other = getattr(new, field)
        if field in ("lineno", "col_offset", "end_lineno", "end_col_offset", "type_ignores", "ctx"):
            return
        if (type(old), field) in _NAMES and value is not None and other is not None:
            names = [(value, other)] if isinstance(value, str) else list(zip(value, other, strict=False))
            if not isinstance(value, str) and len(value) != len(other):
                raise _DifferentError("other names are declared")
            for left, right in names:
                self._name(left, right, old_scope, new_scope)
        else:
            self.pair(value, other, old_scope, new_scope)

    def _name(self, old: str, new: str, old_scope: _Scope, new_scope: _Scope) -> None:
        home, other = old_scope.home_of(old), new_scope.home_of(new)
        if home != other:
            raise _DifferentError(f"{old} and {new} do not belong to the same function")
        if home is None:
            if old != new:
                raise _DifferentError(f"{old} is no local name, and became {new}")
            return
        if self._forth.setdefault((home, old), new) != new or self._back.setdefault((home, new), old) != old:
            raise _DifferentError(f"{old} became {new}, and not everywhere")

    def _inside(self, old: Any, new: Any, old_scope: _Scope, new_scope: _Scope) -> None:
        """Compare a function or class: what stands before its scope outside of it, then what is inside."""
        name = getattr(old, "name", "lambda")
        if name != getattr(new, "name", "lambda"):
            raise _DifferentError(f"{name} has another name")
        outside = ("defaults", "kw_defaults") if hasattr(old, "args") else ("bases", "keywords")
        for field in outside:
            holder, other = (old.args, new.args) if hasattr(old, "args") else (old, new)
            self.pair(getattr(holder, field), getattr(other, field), old_scope, new_scope)
        if hasattr(old, "args"):
            self.pair(list(_annotations(old)), list(_annotations(new)), old_scope, new_scope)
            if _parameters(old) != _parameters(new):
                raise _DifferentError(f"{name} has other parameters")
        self.pair(getattr(old, "decorator_list", []), getattr(new, "decorator_list", []), old_scope, new_scope)
        old_inner, new_inner = old_scope.enter(name, old.lineno), new_scope.enter(name, new.lineno)
        self.pair(old.body, new.body, old_inner, new_inner)

    def _comprehension(self, old: Any, new: Any, old_scope: _Scope, new_scope: _Scope) -> None:
        self.pair(old.generators[0].iter, new.generators[0].iter, old_scope, new_scope)
        name = _COMPREHENSIONS[type(old)]
        old_inner, new_inner = old_scope.enter(name, old.lineno), new_scope.enter(name, new.lineno)
        if len(old.generators) != len(new.generators):
            raise _DifferentError("a comprehension has other parts")
        for place, (left, right) in enumerate(zip(old.generators, new.generators, strict=True)):
            for field in ("target", "ifs", "is_async", *(("iter",) if place else ())):
                self.pair(getattr(left, field), getattr(right, field), old_inner, new_inner)
        for field in ("key", "value", "elt"):
            if hasattr(old, field):
                self.pair(getattr(old, field), getattr(new, field), old_inner, new_inner)


def _parameters(node: Any) -> list[str]:
    arguments = node.args
    kinds = (arguments.posonlyargs, arguments.args, arguments.kwonlyargs)
    stars = (arguments.vararg, arguments.kwarg)
    return [*("/".join(one.arg for one in kind) for kind in kinds), *(one.arg if one else "" for one in stars)]


def _annotations(node: Any) -> Iterator[ast.expr | None]:
    arguments = node.args
    for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
        yield one.annotation if one else None
    yield getattr(node, "returns", None)
