"""Imports that nothing uses go, as ruff finds them; those that something else may need stay.

A module that is imported has effects, of which only the standard library's are known to be none. An imported name is a
name of the module like any other: one that `__all__` lists, or that is re-exported as `x as x`, stays, and with
`imported_names_are_public` every one that does not begin with an underscore. Importing a submodule also hangs it on its
package, for whoever reaches it from there: such an import stays where anything else of that package is imported. The
recorded calls would not tell: the process that they run in has loaded much of the standard library already.
"""

import ast
import json
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pkgutil import iter_modules

from tdev_operators.core.agents.settings import OptimiserSettings
from tdev_operators.core.agents.source_rules import (
    NAME_TRICKS,
    declared_public,
    imported_names,
    parsed,
    same_tree,
    trick_in,
)
from tdev_operators.core.commands import run
from tdev_operators.core.errors import ProofFailedError

_RUFF_SECONDS = 20.0
# Of the standard library, what does something when it is imported.
_EFFECTS = frozenset(
    {"__future__", "antigravity", "this", "readline", "rlcompleter", "site", "faulthandler", "idlelib"}
)


def apply(source: str, rules: OptimiserSettings) -> str:
    """Return the source without them."""
    tree = parsed(source)
    made = imported_names(tree)
    public = declared_public(tree) or frozenset()
    kept = {
        module  # with the name, where it comes out of a module
        for name, module in made.items()
        if not _harmless(module) or name in public or (rules.imported_names_are_public and not name.startswith("_"))
    } | _hung_on_packages(tree)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if not any(name not in used and module not in kept for name, module in made.items()):
        return source
    if trick := trick_in(tree, NAME_TRICKS):
        raise ProofFailedError(f"it reaches names by {trick}, so an import may be used where nobody sees it")
    if why := _reached_otherwise(tree):
        raise ProofFailedError(why)
    return _without_unused(source, kept)


def difference(before: str, after: str) -> str:
    """Return what else than unused imports at the top of the module differs."""
    old, new = parsed(before), parsed(after)
    gone = imported_names(old).keys() - imported_names(new).keys()
    used = {node.id for node in ast.walk(old) if isinstance(node, ast.Name)}
    if hasty := sorted(gone & used):
        return f"the import of {hasty[0]} went, and it is used"
    for name in gone:
        if not _harmless(imported_names(old)[name]):
            return f"the import of {name} went, and nobody knows what it does"
    if gone and (why := _reached_otherwise(old)):
        return why
    if lost := sorted(_hung_on_packages(old) - set(_imports(new))):
        return f"the import of {lost[0]} went, which hangs a submodule on its package"
    stripped = ast.Module([one for node in old.body if (one := _less(node, gone)) is not None], old.type_ignores)
    return "" if same_tree(stripped, new) else "more than imports changed"


def probe() -> None:
    """Try ruff."""
    if _without_unused("import os\nx = 1\n", set()) != "x = 1\n":
        raise ProofFailedError("ruff does not remove an unused import")


def _without_unused(source: str, kept: set[str]) -> str:
    from ruff import find_ruff_bin  # type: ignore[import-untyped]  # noqa: PLC0415  only who removes needs it

    allowed = json.dumps(sorted(kept))
    argv = [find_ruff_bin(), "check", "--isolated", "--select", "F401", "--fix", "--quiet", "--no-cache"]
    argv += ["--config", f"lint.pyflakes.allowed-unused-imports={allowed}", "--stdin-filename", "agent.py", "-"]
    ended = run(argv, timeout_seconds=_RUFF_SECONDS, stdin=source.encode())
    if ended.exit_status not in (0, 1) or not ended.stdout:  # 1: some are left, on purpose
        raise ProofFailedError(f"ruff ended with status {ended.exit_status}")
    return ended.stdout


def _harmless(module: str) -> bool:
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names and top not in _EFFECTS


def _imports(tree: ast.Module) -> Iterator[str]:
    """Yield what is imported anywhere, as ruff names it: `urllib.parse`, `urllib.parse.quote`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{one.name}" for one in node.names)


def _hung_on_packages(tree: ast.Module) -> set[str]:
    """Return the imports that load a submodule of a package of which something else is imported, too."""
    found = list(_imports(tree))
    tops = [name.partition(".")[0] for name in found]
    return {name for name, top in zip(found, tops, strict=True) if tops.count(top) > 1 and _submodule_in(name)}


def _reached_otherwise(tree: ast.Module) -> str:
    """Return which submodule is reached that only somebody else's import can have loaded; empty when none is."""
    found = list(_imports(tree))
    packages = {
        name: module for name, module in imported_names(tree).items() if _harmless(module) and _submodules(module)
    }
    packages |= {
        one.name.partition(".")[0]: one.name.partition(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import)
        for one in node.names
        if one.asname is None and _harmless(one.name)
    }
    bases = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (path := _path_of(node, packages)) and _submodule_in(path) == path:
            if not any(f"{name}.".startswith(f"{path}.") for name in found):
                return f"it reaches {path}, which no import of its own loads"
        elif isinstance(node, ast.Name) and id(node) not in bases and _submodules(packages.get(node.id, "")):
            return f"it hands {node.id} on, and its submodules with it"
    return ""


def _path_of(node: ast.expr, packages: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return packages.get(node.id, "")
    if isinstance(node, ast.Attribute) and (before := _path_of(node.value, packages)):
        return f"{before}.{node.attr}"
    return ""


def _submodule_in(path: str) -> str:
    """Return the longest part of a dotted path that is a submodule; empty when none is."""
    parts = path.split(".")
    for length in range(1, len(parts)):
        if parts[length] not in _submodules(".".join(parts[:length])):
            return ".".join(parts[:length]) if length > 1 else ""
    return path if len(parts) > 1 else ""


@cache
def _submodules(module: str) -> frozenset[str]:
    """Return what stands in a package of the standard library; empty for a plain module."""
    if not _harmless(module):
        return frozenset()
    try:
        spec = find_spec(module)
    except (ImportError, AttributeError, ValueError):
        return frozenset()
    folders = spec.submodule_search_locations if spec else None
    return frozenset(one.name for one in iter_modules(folders)) if folders else frozenset()


def _less(node: ast.stmt, gone: set[str]) -> ast.stmt | None:
    if not isinstance(node, (ast.Import, ast.ImportFrom)):
        return node
    names = [one for one in node.names if (one.asname or one.name.partition(".")[0]) not in gone]
    if not names:
        return None
    if isinstance(node, ast.Import):
        return ast.Import(names)
    return ast.ImportFrom(node.module, names, node.level)
