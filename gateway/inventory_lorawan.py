"""What a LoRaWAN network knows a board by: `lorawan:` in boards.yaml, for its label. The keys of it never stand there."""

from dataclasses import dataclass

from gateway.inventory_checks import Fleet, Report


@dataclass(frozen=True)
class Lorawan:
    """Identifiers in lower-case hexadecimal: dev_eui and join_eui of 16 digits, profile of 8 (vendor, profile).

    owner: the token by which a join server lets whoever shows it claim the board, or None.
    """

    dev_eui: str
    join_eui: str
    profile: str
    owner: str | None


def once(fleet: Fleet, report: Report) -> None:
    """A DevEUI is one board's, anywhere."""
    seen: dict[str, str] = {}
    for name, board in fleet.boards.items():
        if board.lorawan is not None and seen.setdefault(board.lorawan.dev_eui, name) != name:
            eui, other = board.lorawan.dev_eui, seen[board.lorawan.dev_eui]
            report.add(("boards", name, "lorawan", "dev_eui"), "DevEUI {eui} is already that of {other}", eui=eui, other=other)
