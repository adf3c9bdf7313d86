"""What a source says of itself before it is run: constants, tricks that make a change unprovable, equal code."""

import ast
import copy
import types
from collections.abc import Iterator
from typing import Any

from tdev_operators.core.errors import ProofFailedError

# Names by which code reaches names that no tree shows.
NAME_TRICKS = frozenset({"eval", "exec", "locals", "vars", "globals", "compile", "__import__", "dir", "__builtins__"})
# Modules and attributes by which code looks at itself: whatever is changed, it may see.
_MIRRORS = frozenset({
    *("inspect", "traceback", "linecache", "dis", "gc", "ctypes", "importlib", "pkgutil", "symtable", "tokenize"),
    *("code", "codeop", "pdb", "trace", "tracemalloc", "sysconfig", "site", "runpy", "zipimport", "builtins"),
    "marshal",
})  # fmt: skip
_MIRROR_ATTRIBUTES = frozenset({
    *("__code__", "__globals__", "__closure__", "__loader__", "__spec__", "__subclasses__", "__builtins__"),
    *("_getframe", "_current_frames", "f_locals", "f_globals", "f_back", "f_code", "f_lineno", "tb_frame", "tb_lineno"),
    *("settrace", "setprofile", "modules", "__traceback__", "__mro__", "_getframemodulename", "__closure__"),
})  # fmt: skip
_MIRROR_NAMES = frozenset({
    *("__file__", "__loader__", "__spec__", "__builtins__", "__debug__"),
    *("__import__", "eval", "exec", "compile"),  # by these it reaches every mirror, and no tree shows it
})  # fmt: skip
_CONSTANTS = 200
_CONSTANT_LENGTH = 80


def parsed(source: str) -> ast.Module:
    """Return the tree.

    Raises:
        ProofFailedError: it is no Python; the sentence says where.
    """
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise ProofFailedError(f"it does not parse (line {error.lineno}: {error.msg})") from None
    except (ValueError, RecursionError, MemoryError):
        raise ProofFailedError("it does not parse (null bytes, or nested too deeply)") from None


def constants_of(tree: ast.Module) -> list[Any]:
    """Return the short texts and plain numbers that stand in a source, each once."""
    found = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    plain = (
        one
        for one in found
        if (isinstance(one, str) and len(one) <= _CONSTANT_LENGTH)
        or (isinstance(one, (int, float)) and not isinstance(one, bool) and abs(one) < 2**53)
    )
    return list(dict.fromkeys(plain))[:_CONSTANTS]


def mirror_in(tree: ast.Module) -> str:
    """Return by what a source looks at itself; empty when it does not."""
    for node in ast.walk(tree):
        for name in _modules(node):
            if name.partition(".")[0] in _MIRRORS:
                return name
        if isinstance(node, ast.Attribute) and node.attr in _MIRROR_ATTRIBUTES:
            return node.attr
        if isinstance(node, ast.Name) and node.id in _MIRROR_NAMES:
            return node.id
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in _MIRROR_ATTRIBUTES:
            return node.value
    return ""


def trick_in(tree: ast.AST, names: frozenset[str], attributes: frozenset[str] = frozenset()) -> str:
    """Return the first of these names, or of these attributes and modules, that a source uses; empty without one.

    `re.compile` is no `compile`: names count where they stand alone, or are imported.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in names:
            return node.id
        if isinstance(node, ast.Attribute) and node.attr in attributes:
            return node.attr
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in attributes:
            return node.value
        for name in _modules(node):
            parts = {name.partition(".")[0], name.rpartition(".")[2]}
            if parts & (names | attributes):
                return name
    return ""


def same_tree(before: ast.AST, after: ast.AST) -> bool:
    """Whether two trees say the same, wherever it stands."""
    return ast.dump(before) == ast.dump(after)


def same_code(before: ast.Module, after: ast.Module) -> bool:
    """Whether two trees compile to the same code, once lines and columns are left out.

    The compiler writes other opcodes for another layout, so comparing what files compile to would tell differences
    that are none.
    """
    return _told(_compiled(before)) == _told(_compiled(after))


def surface(tree: ast.Module, hidden: frozenset[str] = frozenset()) -> dict[str, str]:
    """Return what a module offers by name: classes with their methods, functions with their parameters, values.

    Of a value only that it is there is told. `hidden` are the names that do not count.
    """
    found: dict[str, str] = {}
    _offered(tree.body, "", found)
    return {name: what for name, what in found.items() if name.partition(".")[0] not in hidden}


def imported_names(tree: ast.Module) -> dict[str, str]:
    """Return the names that imports at the top of a module make, each with what it is: `collections.deque`."""
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            found.update({one.asname or one.name.partition(".")[0]: one.name for one in node.names})
        elif isinstance(node, ast.ImportFrom):
            found.update({one.asname or one.name: f"{node.module or ''}.{one.name}" for one in node.names})
    return found


def declared_public(tree: ast.Module) -> frozenset[str] | None:
    """Return the names in `__all__`; None where there is none; every name where it is no plain list."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            try:
                return frozenset(map(str, ast.literal_eval(node.value)))  # type: ignore[attr-defined]
            except (ValueError, TypeError, AttributeError):
                return frozenset(imported_names(tree))
    return None


def _modules(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (one.name for one in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield node.module or ""
        yield from (f"{node.module or ''}.{one.name}" for one in node.names)


def _offered(body: list[ast.stmt], prefix: str, found: dict[str, str]) -> None:
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                shape = [type(node).__name__, ast.dump(node.args), *map(ast.dump, node.decorator_list)]
                found[prefix + node.name] = " ".join(shape)
            case ast.ClassDef():
                shape = [*map(ast.dump, node.bases), *map(ast.dump, node.keywords), *map(ast.dump, node.decorator_list)]
                found[prefix + node.name] = f"class {' '.join(shape)}"
                _offered(node.body, f"{prefix}{node.name}.", found)
            case ast.Import() | ast.ImportFrom():
                found.update({prefix + (one.asname or one.name.partition(".")[0]): "imported" for one in node.names})
            case _:
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                        found[prefix + inner.id] = "a value"


def _compiled(tree: ast.Module) -> types.CodeType:
    flat = copy.deepcopy(tree)
    for node in ast.walk(flat):
        if hasattr(node, "lineno"):
            node.lineno = node.end_lineno = 1  # type: ignore[attr-defined]
            node.col_offset = node.end_col_offset = 0  # type: ignore[attr-defined]
    return compile(flat, "<agent>", "exec", dont_inherit=True)


def _told(code: types.CodeType) -> tuple[Any, ...]:
    constants = tuple(
        _told(one) if isinstance(one, types.CodeType) else (type(one).__name__, repr(one)) for one in code.co_consts
    )
    shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags, code.co_exceptiontable)
    names = (code.co_name, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return (code.co_code, constants, shape, names)
