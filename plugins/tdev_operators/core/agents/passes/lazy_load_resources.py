"""Private tables of constants are made when they are first asked for, and kept from then on.

Only a table that stands at the top of the module under a name of its own with an underscore, is never assigned again,
and is asked for inside of functions only. Imports stay where they are: modules are shared by all agents of a process,
so moving them would save nothing by either measure, and make the first call slower.
"""

import ast

from tdev_operators.core.agents.edits import Edit, behind_opening, edited, in_place_of
from tdev_operators.core.agents.settings import OptimiserSettings
from tdev_operators.core.agents.source_rules import NAME_TRICKS, declared_public, parsed, same_tree, trick_in
from tdev_operators.core.errors import ProofFailedError

_KEEPER = "_tdev_kept"
_PRELUDE = f"from functools import cache as {_KEEPER}"
_ENTRIES = 8  # a smaller table is smaller than what makes it lazily
_TABLES = (ast.Dict, ast.List, ast.Set, ast.Tuple)


def apply(source: str, rules: OptimiserSettings) -> str:  # noqa: ARG001  every pass is given them
    """Return the source with its tables made lazily."""
    tree = parsed(source)
    tables = _tables(tree)
    if not tables:
        return source
    if _KEEPER in source:
        raise ProofFailedError(f"it has a name {_KEEPER} already")
    if trick := trick_in(tree, NAME_TRICKS):
        raise ProofFailedError(f"it reaches names by {trick}, so a table may be asked for where nobody sees it")
    edits = [behind_opening(source, tree, _PRELUDE)]
    for name, node in tables.items():
        edits.append(in_place_of(source, node, f"@{_KEEPER}\ndef {name}():return {ast.unparse(node.value)}"))
    edits += [
        Edit.of(source, node, f"{node.id}()")
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id in tables and isinstance(node.ctx, ast.Load)
    ]
    return edited(source, edits)


def difference(before: str, after: str) -> str:
    """Return what else than lazily made tables differs."""
    old, new = parsed(before), parsed(after)
    tables = _tables(old)
    prelude = ast.dump(ast.parse(_PRELUDE).body[0])
    new.body = [node for node in new.body if ast.dump(node) != prelude]
    asked = sum(isinstance(node, ast.Name) and node.id in tables for node in ast.walk(old)) - len(tables)
    eager = _Eager(tables)
    eager.visit(new)
    if eager.called != asked:
        return "a table is not asked for everywhere"
    return "" if same_tree(old, new) else "more than tables changed"


class _Eager(ast.NodeTransformer):
    """Makes the tables constants again."""

    def __init__(self, tables: dict[str, ast.Assign]) -> None:
        self._tables = tables
        self.called = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        """Turn what makes a table into the table."""
        self.generic_visit(node)
        kept = len(node.decorator_list) == 1 and ast.dump(node.decorator_list[0]) == ast.dump(
            ast.parse(_KEEPER, mode="eval").body
        )
        if node.name in self._tables and kept and len(node.body) == 1 and isinstance(node.body[0], ast.Return):
            value = node.body[0].value
            if value is not None and not ast.unparse(node.args):
                return ast.Assign([ast.Name(node.name, ast.Store())], value, None)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Turn asking for a table into the table's name."""
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in self._tables and not node.args and not node.keywords:
            self.called += 1
            return node.func
        return node


def _tables(tree: ast.Module) -> dict[str, ast.Assign]:
    public = declared_public(tree) or frozenset()
    found = {}
    for node in tree.body:
        if not (isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)):
            continue
        name, value = node.targets[0].id, node.value
        if not name.startswith("_") or name.startswith("__") or name in public or not isinstance(value, _TABLES):
            continue
        if len(getattr(value, "keys", getattr(value, "elts", ()))) >= _ENTRIES and _is_constant(value):
            found[name] = node
    inside = _asked_inside_functions(tree)
    for each in ast.walk(tree):
        if isinstance(each, ast.Name) and each.id in found:
            again = not isinstance(each.ctx, ast.Load) and each is not found[each.id].targets[0]
            if again or (isinstance(each.ctx, ast.Load) and id(each) not in inside):
                del found[each.id]
        elif isinstance(
            each, (ast.arg, ast.Global, ast.Nonlocal, ast.ImportFrom, ast.Import, ast.ClassDef, ast.MatchMapping)
        ) or hasattr(each, "name"):
            for name in _named(each):
                found.pop(name, None)
    return found


def _named(node: ast.AST) -> list[str]:
    """Return the names that a node makes without an ast.Name."""
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, (ast.Global, ast.Nonlocal)):
        return node.names
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [one.asname or one.name.partition(".")[0] for one in node.names]
    if isinstance(node, ast.MatchMapping):
        return [node.rest or ""]
    return [str(getattr(node, "name", ""))]


def _is_constant(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError):  # also of unhashable keys, which raise where the table is made
        return False
    return True


def _asked_inside_functions(tree: ast.Module) -> set[int]:
    functions = (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    return {id(inner) for function in functions for one in function.body for inner in ast.walk(one)}
