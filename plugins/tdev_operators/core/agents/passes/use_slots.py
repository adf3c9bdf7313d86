"""Classes whose attributes are all known keep them in `__slots__`, without a dict for each instance.

Only a class without bases, decorators and a metaclass, that nothing is derived from, whose methods assign no attribute
that `__init__` does not always assign, in a source that never reaches an attribute by a name that no tree shows, never
pickles and keeps no weak references. So dataclasses, pydantic models, enumerations, named tuples and exceptions are
left alone. A source gets longer by it: it counts where `measure = "footprint"`.
"""

import ast
from collections.abc import Iterator

from tdev_operators.core.agents.settings import OptimiserSettings
from tdev_operators.core.agents.source_rules import NAME_TRICKS, parsed, same_tree, trick_in
from tdev_operators.core.errors import ProofFailedError

_NAMES = NAME_TRICKS | {"setattr", "delattr"}
_ATTRIBUTES = frozenset({
    *("__dict__", "__slots__", "__class__", "__weakref__", "__reduce__", "__reduce_ex__", "__setattr__", "__delattr__"),
    *("weakref", "pickle", "copyreg", "shelve", "getsizeof", "cached_property", "singledispatchmethod"),
})  # fmt: skip
_OWN_WAYS = frozenset({
    *("__getattr__", "__getattribute__", "__setattr__", "__delattr__", "__getstate__", "__setstate__", "__new__"),
    *("__reduce__", "__reduce_ex__", "__copy__", "__deepcopy__", "__init_subclass__", "__class_getitem__", "__dir__"),
    *("__sizeof__", "__set_name__"),
})  # fmt: skip
_DECORATORS = frozenset({"staticmethod", "classmethod", "property"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def apply(source: str, rules: OptimiserSettings) -> str:  # noqa: ARG001  every pass is given them
    """Return the source with slots where they are proven to change nothing."""
    tree = parsed(source)
    slots = _provable(tree)
    if not slots:
        return source
    if trick := trick_in(tree, _NAMES, _ATTRIBUTES):
        raise ProofFailedError(f"it reaches attributes by {trick}, so an instance may need its dict")
    return _written(source, slots)


def difference(before: str, after: str) -> str:
    """Return what else than provable slots differs."""
    old, new = parsed(before), parsed(after)
    slots = _provable(old)
    for node in new.body:
        if not isinstance(node, ast.ClassDef) or node.name not in slots:
            continue
        declared = [one for one in node.body if _declares(one)]
        if len(declared) == 1 and ast.literal_eval(declared[0].value) == slots[node.name]:  # type: ignore[attr-defined]
            node.body.remove(declared[0])
    return "" if same_tree(old, new) else "more than slots changed"


def probe() -> None:
    """Try libcst."""
    _written("class A:\n    pass\n", {})


def _provable(tree: ast.Module) -> dict[str, tuple[str, ...]]:
    """Return the classes that may have slots, each with them in the order of `__init__`."""
    bases = {one.id for node in ast.walk(tree) for one in getattr(node, "bases", ()) if isinstance(one, ast.Name)}
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    names = [node.name for node in classes]
    found = {}
    for node in classes:
        if node.name in bases or names.count(node.name) > 1:
            continue
        slots = _slots_of(node)
        if slots and not (_foreign_stores(tree, node) - set(slots)):
            found[node.name] = slots
    return found


def _slots_of(node: ast.ClassDef) -> tuple[str, ...]:
    if node.decorator_list or node.keywords or node.bases or not isinstance(node.body[0], (ast.Expr, *_FUNCTIONS)):
        return ()
    methods = [one for one in node.body if isinstance(one, _FUNCTIONS)]
    rest = [one for one in node.body if not isinstance(one, _FUNCTIONS)]
    if any(not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)) for one in rest):
        return ()  # class attributes
    names = [one.name for one in methods]
    if names.count("__init__") != 1 or _OWN_WAYS & set(names) or len(names) != len(set(names)):
        return ()
    if any(not isinstance(one, ast.Name) or one.id not in _DECORATORS for m in methods for one in m.decorator_list):
        return ()
    [init] = [one for one in methods if one.name == "__init__"]
    if isinstance(init, ast.AsyncFunctionDef) or init.decorator_list or not init.args.args:
        return ()
    always = tuple(dict.fromkeys(_always_assigned(init)))
    stored = {name for method in methods for name in _stored_on_self(method)}
    if stored - set(always) or set(always) & set(names) or any(_deletes(method) for method in methods):
        return ()
    return always


def _always_assigned(init: ast.FunctionDef) -> Iterator[str]:
    """Yield what the first statements of `__init__` assign to its instance, whatever happens."""
    me = init.args.args[0].arg
    for statement in init.body:
        if isinstance(statement, (ast.Return, ast.Raise)):
            return
        targets: list[ast.expr] = []
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets = [statement.target]
        if any(isinstance(inner, ast.Return) for inner in ast.walk(statement)):
            return
        for target in targets:
            parts = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
            for part in parts:
                if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == me:
                    yield part.attr


def _stored_on_self(method: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for node in ast.walk(method):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node, method):
            yield node.attr


def _is_self(node: ast.Attribute, method: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    first = method.args.args[0].arg if method.args.args else ""
    return isinstance(node.value, ast.Name) and node.value.id == first


def _is_given_its_instance(method: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether its first parameter is an instance of its own class, and stays it: a static method's may be anything."""
    first = method.args.args[0] if method.args.args else None
    for node in ast.walk(method):
        again = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and first and node.id == first.arg
        if again or (isinstance(node, ast.arg) and node is not first and first and node.arg == first.arg):
            return False
    return all(isinstance(one, ast.Name) and one.id == "property" for one in method.decorator_list)


def _deletes(method: ast.AST) -> bool:
    return any(isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Del) for node in ast.walk(method))


def _foreign_stores(tree: ast.Module, but: ast.ClassDef) -> set[str]:
    """Return the attributes that are assigned to what may be an instance of a class, its own methods' own aside."""
    own = {
        id(node)
        for method in but.body
        if isinstance(method, _FUNCTIONS) and _is_given_its_instance(method)
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute) and _is_self(node, method)
    }
    stores = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load))
    return {node.attr for node in stores if id(node) not in own}


def _declares(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Assign)
        and len(node.targets) == 1
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == "__slots__"
    )


def _written(source: str, slots: dict[str, tuple[str, ...]]) -> str:
    import libcst  # noqa: PLC0415  a third of a second, and only for those that get slots

    class Writer(libcst.CSTTransformer):
        def __init__(self) -> None:
            super().__init__()
            self.depth = 0

        def visit_ClassDef(self, _: libcst.ClassDef) -> None:  # noqa: N802  libcst's name
            self.depth += 1

        def visit_FunctionDef(self, _: libcst.FunctionDef) -> None:  # noqa: N802
            self.depth += 1

        def leave_FunctionDef(  # noqa: N802
            self, _: libcst.FunctionDef, updated_node: libcst.FunctionDef
        ) -> libcst.FunctionDef:
            self.depth -= 1
            return updated_node

        def leave_ClassDef(  # noqa: N802
            self, _: libcst.ClassDef, updated_node: libcst.ClassDef
        ) -> libcst.ClassDef:
            self.depth -= 1
            body = updated_node.body
            if self.depth or updated_node.name.value not in slots or not isinstance(body, libcst.IndentedBlock):
                return updated_node
            names = slots[updated_node.name.value]
            text = ",".join(f'"{name}"' for name in names) + ("," if len(names) == 1 else "")
            line = libcst.parse_statement(f"__slots__ = ({text})\n")
            place = 1 if updated_node.get_docstring() is not None else 0
            return updated_node.with_changes(
                body=body.with_changes(body=[*body.body[:place], line, *body.body[place:]])
            )

    try:
        return libcst.parse_module(source).visit(Writer()).code
    except libcst.ParserSyntaxError:
        raise ProofFailedError("libcst cannot read it") from None
