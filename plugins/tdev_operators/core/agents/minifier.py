"""python-minifier with every transform off but those that are asked for."""

import ast
from typing import Any

from tdev_operators.core.errors import ProofFailedError

_OFF = (
    *("remove_annotations", "remove_pass", "remove_literal_statements", "combine_imports", "hoist_literals"),
    *("rename_globals", "remove_object_base", "convert_posargs_to_args", "remove_asserts", "remove_debug"),
    *("remove_explicit_return_none", "remove_builtin_exception_brackets", "constant_folding", "remove_dead_branches"),
)


def shortened(source: str, *, locals_but: frozenset[str] | None = None) -> str:
    """Return a source as short as its tree can be written; with `locals_but`, all local names but these made short.

    Raises:
        ProofFailedError: the minifier gives up.
    """
    from python_minifier import UnstableMinification, minify  # noqa: PLC0415  only workers need it

    off: dict[str, Any] = dict.fromkeys(_OFF, False)
    try:
        return minify(
            source,
            rename_locals=locals_but is not None,
            preserve_locals=sorted(locals_but or ()),
            preserve_shebang=True,
            **off,
        )
    except (UnstableMinification, SyntaxError, ValueError, RecursionError) as error:
        raise ProofFailedError(f"python-minifier gives up ({type(error).__name__})") from None


def told_names(tree: ast.Module) -> frozenset[str]:
    """Return the local names that somebody outside can tell: of parameters, and of functions and classes inside."""
    names = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return frozenset(names | {node.name for node in ast.walk(tree) if isinstance(node, kinds)})
