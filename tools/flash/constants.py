"""Numbers in the place of their names: a board keeps neither the names nor the modules that hold nothing else.

A constant is a name in capitals that its module sets once, at its top, to a whole number, a tuple of such or another
constant of its own, with or without const(). The build writes it out wherever it is used, in its own module and in those
that import it, and takes the name away. Lines keep their numbers, so a traceback from a board points into the sources.
"""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache

Value = int | tuple[int, ...]
Parse = Callable[[str], ast.Module | None]  # the syntax tree of a module by its path (`wire/frame`), None: there is none
Edit = tuple[ast.expr | ast.stmt, str]

_NAME = re.compile("_?[A-Z][A-Z0-9_]*")
_CONST = "const"  # MicroPython's compiler knows it by itself


@cache
def constants(tree: ast.Module) -> dict[str, Value]:
    """The constants of a module by name."""
    found: dict[str, Value] = {}
    for statement in tree.body:
        name = _target(statement)
        if isinstance(statement, ast.Assign) and _NAME.fullmatch(name):
            value = _value(statement.value, found)
            if value is not None:
                found[name] = value
    bound = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)]
    bound += [node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)]
    return {name: value for name, value in found.items() if bound.count(name) == 1}


@cache
def holds_nothing_else(tree: ast.Module) -> bool:
    """True for a module of constants, of which no board needs to know. An empty module has others inside it."""
    known = constants(tree)
    rest = [s for s in tree.body if _target(s) not in known and not isinstance(s, ast.Expr)]
    return bool(known) and not rest


def written_out(text: str, module: str, parse: Parse) -> str:
    """The source of a module (`wire/frame`) with the value of each constant in the place of its name."""
    tree = ast.parse(text)
    own = constants(tree)
    names = dict(own)
    modules: dict[str, dict[str, Value]] = {}
    edits: list[Edit] = [(s, "") for s in tree.body if _target(s) in own or _is_const(s)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            kept = [alias for alias in node.names if not _known(node, alias, module, parse, names, modules)]
            if len(kept) < len(node.names):
                text_kept = ast.unparse(ast.ImportFrom(node.module, kept, node.level)) if kept else "pass"
                edits.append((node, text_kept + "\n" * ((node.end_lineno or 0) - node.lineno)))
    edits += _uses(tree, names, modules)
    return _edited(text, edits)


def _target(statement: ast.stmt) -> str:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    return ""


def _is_const(statement: ast.stmt) -> bool:
    return _target(statement) == _CONST


def _value(node: ast.expr, known: dict[str, Value]) -> Value | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == _CONST and len(node.args) == 1:
        return _value(node.args[0], known)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _value(node.operand, known)
        return -value if isinstance(value, int) else None
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) is int else None
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Tuple):
        items = [_value(item, known) for item in node.elts]
        whole = tuple(item for item in items if isinstance(item, int))
        return whole if len(whole) == len(items) else None
    return None


def _known(  # noqa: PLR0917
    node: ast.ImportFrom, alias: ast.alias, module: str, parse: Parse,
    names: dict[str, Value], modules: dict[str, dict[str, Value]],
) -> bool:  # fmt: skip
    # Whether an imported name need not be imported: a constant (added to `names`), `const`, or a module of constants.
    base = ["firmware", *module.split("/")[: -node.level]] if node.level else []
    base += (node.module or "").split(".") if node.module else []
    if base[:1] != ["firmware"]:
        return False
    called = alias.asname or alias.name
    inner = parse("/".join([*base[1:], alias.name]))
    if inner is not None:
        modules[called] = constants(inner)
        return holds_nothing_else(inner)
    holder = parse("/".join(base[1:])) or parse("/".join([*base[1:], "__init__"]))
    value = constants(holder).get(alias.name) if holder else None
    if value is not None:
        names[called] = value
    return value is not None or alias.name == _CONST


def _uses(tree: ast.Module, names: dict[str, Value], modules: dict[str, dict[str, Value]]) -> Iterator[Edit]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            value = names.get(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            value = modules.get(node.value.id, {}).get(node.attr)
        else:
            continue
        if value is not None:
            yield node, f"({value})" if isinstance(value, int) and value < 0 else str(value)


def _edited(text: str, edits: list[Edit]) -> str:
    lines = text.encode().splitlines(keepends=True)  # columns of a syntax tree count bytes
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    data = b"".join(lines)
    at = [(starts[n.lineno - 1] + n.col_offset, starts[(n.end_lineno or 0) - 1] + (n.end_col_offset or 0), t)
          for n, t in edits]  # fmt: skip
    kept: list[tuple[int, int, str]] = []
    for first, last, new in sorted(at, key=lambda edit: (edit[0], -edit[1])):
        if not kept or first >= kept[-1][1]:  # what lies inside another one goes with it
            kept.append((first, last, new))
    for first, last, new in reversed(kept):
        data = data[:first] + new.encode() + data[last:]
    return data.decode()
