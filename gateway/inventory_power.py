"""The rules of `power:` in boards.yaml: how a board sleeps, and on what it lives."""

from firmware.node import energy
from gateway.inventory_checks import Fleet, Loc, Report
from gateway.inventory_entries import Board


def power(fleet: Fleet, report: Report, loc: Loc, board: Board) -> None:
    """A profile that the board, its line and its service can live with, and a battery that is known whole."""
    kind = fleet.presets.boards.get(board.type)
    service = fleet.presets.services.get(board.service or "")
    profile, place = board.power.profile, (*loc, "power", "profile")
    wired = board.role == "bridge" or fleet.link(board) == "serial"
    if profile != "always" and wired:
        report.add(place, "a board on a serial port does not sleep: profile must be always")
    elif kind is not None and f"{'idle' if profile == 'always' else profile}_ua" not in kind.power:
        report.add(place, "a {type} loses its memory in deep sleep: use light, or gated with a power gate", type=board.type)
    elif profile in energy.COLD and service is not None and service.samples:
        report.add(place, "the service {service} samples every {s} s and must keep its memory: use light",
                   service=service.name, s=service.samples.every_s)  # fmt: skip
    if profile == "gated" and board.power.done is None:
        report.need((*loc, "power"), "done", "needs 'done': the pin that tells the power gate to switch off")
    if profile != "gated" and board.power.done is not None:
        report.add((*loc, "power", "done"), "belongs to the profile gated", at_key=True)
    if (board.power.capacity_mah is None) != (board.power.chemistry is None):
        report.add((*loc, "power"), "needs both 'capacity_mah' and 'chemistry', or none", at_key=True)
