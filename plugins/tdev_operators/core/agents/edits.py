"""Replacing parts of a source where its tree says that they stand, and nothing around them."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from tdev_operators.core.errors import ProofFailedError


@dataclass(frozen=True, slots=True)
class Edit:
    """The bytes from `start` to `end` of a source become this text."""

    start: int
    end: int
    text: str

    @classmethod
    def of(cls, source: str, node: ast.expr | ast.stmt, text: str) -> "Edit":
        """Return the one that replaces a whole node."""
        if node.end_lineno is None or node.end_col_offset is None:
            raise ProofFailedError("its tree does not say where it ends")
        return cls(
            _offset(source, node.lineno, node.col_offset), _offset(source, node.end_lineno, node.end_col_offset), text
        )


def edited(source: str, edits: Sequence[Edit]) -> str:
    """Return the source with these replaced; one that would touch a word before it gets a blank."""
    data = source.encode()
    for edit in sorted(edits, key=lambda one: (one.start, one.end), reverse=True):
        before = data[edit.start - 1 : edit.start]
        glued = before.isalnum() or before == b"_"
        data = data[: edit.start] + (b" " if glued else b"") + edit.text.encode() + data[edit.end :]
    return data.decode()


def in_place_of(source: str, node: ast.stmt, text: str) -> Edit:
    """Return the edit that puts whole lines where a statement of a module stands, alone or between semicolons."""
    whole = Edit.of(source, node, text)
    data = source.encode()
    end, before, after = whole.end, "", ""
    if data[: whole.start].rpartition(b"\n")[2].strip():
        before = "\n"
    rest = data[end:].partition(b"\n")[0]
    if rest.strip().startswith(b";"):
        end, after = end + rest.index(b";") + 1, "\n"
    return Edit(whole.start, end, f"{before}{text}{after}")


def behind_opening(source: str, tree: ast.Module, text: str) -> Edit:
    """Return the edit that puts lines behind a module's docstring and `from __future__` imports."""
    for place, node in enumerate(tree.body):
        is_text = place == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_text or (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            continue
        first = min([node, *getattr(node, "decorator_list", [])], key=lambda one: one.lineno)
        line_start = _offset(source, first.lineno, 0)
        joined = place > 0 and tree.body[place - 1].end_lineno == first.lineno
        start = _offset(source, node.lineno, node.col_offset) if joined else line_start
        return Edit(start, start, f"\n{text}\n" if joined else f"{text}\n")
    raise ProofFailedError("there is nothing in it")


def _offset(source: str, line: int, column: int) -> int:
    lines = source.encode().split(b"\n")
    return sum(len(one) + 1 for one in lines[: line - 1]) + column
