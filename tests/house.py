"""The rules of the house as tables: who may import whom, and what must be pure."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Modules of the firmware that the gateway and the tools may use: functions of their arguments alone.
PURE = {
    "firmware.node.RELEASE",
    "firmware.node.VERSION",
    "firmware.node.energy",
    "firmware.node.manifest",
    "firmware.radio.airtime",
    "firmware.radio.ledger",
    "firmware.radio.plan",
}
# folder -> the folders of ours it may import (itself always)
MAY_IMPORT = {
    "firmware/wire": set(),
    "firmware/radio": set(),
    "firmware/ports": {"firmware/wire"},
    "firmware/sensors": {"firmware/wire"},
    "firmware/services": {"firmware/wire", "firmware/sensors"},
    "firmware/node": {"firmware/wire", "firmware/radio", "firmware/sensors", "firmware/services", "firmware/ports"},
    "firmware/bridge": {"firmware/wire", "firmware/radio", "firmware/ports", "firmware/node"},
    "gateway": {"firmware/wire", "PURE"},
    "tools/twin/chips": set(),
    "tools/twin/world": set(),
    "tools": {"firmware/wire", "PURE", "gateway"},
}
# What never comes onto a board, so boards' modules may not import it at all.
NOT_ON_BOARDS = {"typing", "dataclasses", "enum", "contextlib", "pathlib", "logging", "functools"}
# One file alone knows each of these libraries.
ONE_PLACE = {
    "paho": {"gateway/upstream/connection.py", "gateway/upstream/client.py", "tools/twin/reader.py"},
    "iotcore": {"tools/twin/broker.py"},
    "esptool": set(),  # GPL: a program that is started
    "http": {"tools/bundle/fetch.py"},  # all else works without a network
}
MAX_LINES = 400


def sources(top: str) -> list[Path]:
    """Python files below `top`, a folder of the project."""
    return sorted((ROOT / top).rglob("*.py"))


def room(relative: str) -> str | None:
    """The row of MAY_IMPORT that a file belongs to: the longest folder that contains it."""
    fits = [folder for folder in MAY_IMPORT if relative.startswith(folder + "/")]
    return max(fits, key=len) if fits else None


def imports(path: Path) -> set[str]:
    """Dotted names of every module a file imports; relative ones made absolute; TYPE_CHECKING blocks do not count."""
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    found: set[str] = set()
    for node in _walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *(node.module.split(".") if node.module else [])])
            found |= {stem} | {f"{stem}.{alias.name}" for alias in node.names}
    return found


def _walk(node: ast.AST):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _walk(child)
