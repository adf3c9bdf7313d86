"""Long texts are kept compressed and unpacked when they are first used, where that is really shorter.

Docstrings stay: a compressed one would be none. So do texts in formatted strings, patterns and annotations.
"""

import ast
import base64
import zlib
from collections.abc import Iterator

from tdev_operators.core.agents.edits import Edit, behind_opening, edited
from tdev_operators.core.agents.settings import OptimiserSettings
from tdev_operators.core.agents.source_rules import NAME_TRICKS, parsed, same_tree, trick_in
from tdev_operators.core.errors import ProofFailedError

_NAME = "_tdev_text"
_PRELUDE = (
    f"from base64 import b85decode as {_NAME}_b\n"
    f"from functools import cache as {_NAME}_k\n"
    f"from zlib import decompress as {_NAME}_z\n"
    f"@{_NAME}_k\n"
    f"def {_NAME}(packed):return {_NAME}_z({_NAME}_b(packed)).decode()"
)
_SHORTEST = 120
_LONGEST = 1024 * 1024


def apply(source: str, rules: OptimiserSettings) -> str:  # noqa: ARG001  every pass is given them
    """Return the source with its long texts packed; as it was where that is no gain."""
    tree = parsed(source)
    edits = []
    for node, text in _texts(tree):
        edit = Edit.of(source, node, f"{_NAME}({_packed(text)!r})")
        if len(edit.text) < edit.end - edit.start:
            edits.append(edit)
    if sum(edit.end - edit.start - len(edit.text) for edit in edits) <= len(_PRELUDE) + 1:
        return source
    if _NAME in source:
        raise ProofFailedError(f"it has a name {_NAME} already")
    if trick := trick_in(tree, NAME_TRICKS):
        raise ProofFailedError(f"it reaches names by {trick}")
    return edited(source, [behind_opening(source, tree, _PRELUDE), *edits])


def difference(before: str, after: str) -> str:
    """Return what differs once every text is unpacked."""
    old, new = parsed(before), parsed(after)
    prelude = [ast.dump(node) for node in ast.parse(_PRELUDE).body]
    new.body = [node for node in new.body if ast.dump(node) not in prelude]
    unpacked = _Unpacked().visit(new)
    return "" if same_tree(old, unpacked) else "more than texts changed"


class _Unpacked(ast.NodeTransformer):
    """Puts the texts back."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Turn an unpacking into its text."""
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == _NAME:
            match node.args:
                case [ast.Constant(value=bytes() as packed)] if not node.keywords:
                    unpacker = zlib.decompressobj()
                    return ast.Constant(unpacker.decompress(base64.b85decode(packed), _LONGEST).decode())
        return node


def _packed(text: str) -> bytes:
    return base64.b85encode(zlib.compress(text.encode(), 9))


def _texts(tree: ast.Module) -> Iterator[tuple[ast.Constant, str]]:
    """Yield the long texts that stand where any expression may."""
    kept = {id(inner) for node in ast.walk(tree) for outer in _must_stay(node) for inner in ast.walk(outer)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in kept:
            continue
        # u"" says that it is one, and half a pair of surrogates cannot be written as UTF-8.
        if len(node.value) >= _SHORTEST and node.kind is None and _is_writable(node.value):
            yield node, node.value


def _must_stay(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a node in which a text must be one."""
    if isinstance(node, (ast.JoinedStr, ast.pattern)) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ):
        yield node
    for field in ("annotation", "returns"):
        if inner := getattr(node, field, None):
            yield inner
    if isinstance(node, (ast.Assign, ast.AnnAssign)) and "__" in ast.unparse(node).partition("=")[0]:
        yield node  # __all__, __doc__, __slots__, ...


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
