"""Imports that nothing uses go, as ruff finds them; those that something else may need stay.

A module that is imported has effects, of which only the standard library's are known to be none. An imported name is a
name of the module like any other: one that `__all__` lists, or that is re-exported as `x as x`, stays, and with
`imported_names_are_public` every one that does not begin with an underscore.
"""

import ast
import json
import sys

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
    }
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if not any(name not in used and module not in kept for name, module in made.items()):
        return source
    if trick := trick_in(tree, NAME_TRICKS):
        raise ProofFailedError(f"it reaches names by {trick}, so an import may be used where nobody sees it")
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
    stripped = ast.Module([one for node in old.body if (one := _less(node, gone)) is not None], old.type_ignores)
    return "" if same_tree(stripped, new) else "more than imports changed"


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


def _less(node: ast.stmt, gone: set[str]) -> ast.stmt | None:
    if not isinstance(node, (ast.Import, ast.ImportFrom)):
        return node
    names = [one for one in node.names if (one.asname or one.name.partition(".")[0]) not in gone]
    if not names:
        return None
    if isinstance(node, ast.Import):
        return ast.Import(names)
    return ast.ImportFrom(node.module, names, node.level)
