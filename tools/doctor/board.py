"""What runs on the board at a port: our program, MicroPython alone, or nothing that answers."""

from collections.abc import Mapping

from gateway.errors import HostError
from tools.diag.service import Port, Service
from tools.doctor.report import OK, WARN, Check, failed
from tools.flash import connect, identify
from tools.i18n import _

GREET_S = 1.5


def check(port: str, names: Mapping[str, str]) -> Check:
    """Ask the board who it is; names: unique id -> name. Only a program that does not answer is stopped, and started again."""
    try:
        return _running(port, names)
    except HostError as error:
        if error.name not in ("timeout", "device_fault"):
            return failed("board", error)
    try:
        there = connect.what_is_there(port)
        if there == "repl":
            return _micropython(port, names)
    except HostError as error:
        return failed("board", error)
    if there == "console":
        return Check("board", WARN, _("{port}: a program of ours runs, and says no name").format(port=port),
                     _("it has no configuration: jourdain flash BOARD"))  # fmt: skip
    hint = _("press its reset and look again; a new board has no MicroPython yet: `jourdain flash` puts it there")
    return Check("board", WARN, _("{port}: nothing answers").format(port=port), hint)


def _running(port: str, names: Mapping[str, str]) -> Check:
    line = Port(port)
    try:
        found = Service(line, lambda _identity: b"").greet(GREET_S, 1)
    finally:
        line.close()
    name = found.board or names.get(found.uid, "?")
    said = _("{port}: {board} runs ({role}, {uid})").format(port=port, board=name, role=found.role, uid=found.uid)
    if names and found.uid not in names:
        return Check("board", WARN, said, _("boards.yaml does not know this chip: jourdain flash BOARD --adopt"))
    return Check("board", OK, said)


def _micropython(port: str, names: Mapping[str, str]) -> Check:
    connection = connect.Connection(port)
    try:
        found = identify.ask(connection)
        connection.restart()
    finally:
        connection.close()
    said = _("{port}: MicroPython {version}, {machine}, {uid}, its prompt answers").format(
        port=port, version=found.micropython, machine=found.machine, uid=found.uid)  # fmt: skip
    name = names.get(found.uid)
    if found.board and found.main:
        hint = _("its program {board} does not answer: jourdain flash {board}").format(board=found.board)
        return Check("board", WARN, said, hint)
    return Check("board", OK, said, _("jourdain flash {board}").format(board=name or "BOARD"))
