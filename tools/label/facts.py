"""What a commissioning sheet says of a board, as rows of words: from boards.yaml, its presets and the record."""

from collections.abc import Mapping
from typing import Any

from gateway.inventory import Board, Inventory
from tools.i18n import _
from tools.label.book import Entry, part, when
from tools.plan import battery, command

Rows = list[tuple[str, str]]


def identity(inv: Inventory, board: Board) -> Rows:
    """Which board it is."""
    kind = inv.presets.boards[board.type]
    rows = [(_("board type"), kind.title), (_("chip id"), board.uid or "-")]
    if board.kid:
        rows.append((_("key id"), board.kid))
    if board.lorawan:
        rows += [("DevEUI", board.lorawan.dev_eui.upper()), ("JoinEUI", board.lorawan.join_eui.upper())]
    if board.radio:
        rows.append((_("radio"), f"{board.radio.module.title}, {board.radio.antenna_dbi} dBi"))
    if board.plan:
        rows.append((_("channel"), f"{board.plan.freq_hz / 1e6:g} MHz, SF{board.plan.sf}, {board.plan.power_dbm} dBm"))
    if board.gateway:
        rows.append((_("gateway"), inv.gateways[board.gateway].title))
    return rows


def place(inv: Inventory, board: Board) -> Rows:
    """Where it hangs. The height nobody writes into boards.yaml: a line to fill in."""
    rows = [(_("town"), inv.sites[board.site].title)]
    if inv.sites[board.site].contact:
        rows.append((_("contact"), inv.sites[board.site].contact))
    latitude, longitude = coordinates(board)
    return [*rows, (_("coordinates"), f"{latitude}, {longitude}"), (_("height above ground"), "")]


def coordinates(board: Board) -> tuple[str, str]:
    """Latitude and longitude in degrees."""
    return f"{board.position[0] / 1e5:.5f}", f"{board.position[1] / 1e5:.5f}"


def duty(inv: Inventory, board: Board) -> Rows:
    """What it does, and on what it lives for how long."""
    if board.service is None:
        return [(_("service"), _("radio bridge: passes frames on"))]
    rows = [(_("service"), f"{board.service}: {inv.presets.services[board.service].title}")]
    rows.append((_("report"), _("every {seconds} s").format(seconds=board.report_s)))
    if board.link == "serial":
        return [*rows, (_("power"), _("over its USB cable"))]
    power = board.power
    rows.append((_("profile"), power.profile))
    if power.chemistry:
        found = battery.project(inv, board, power.profile, power.capacity_mah, power.chemistry)
        life = command.life(found.days, power.chemistry)
        rows.append((_("battery"), f"{power.capacity_mah} mAh {power.chemistry}"))
        rows.append((_("expected life"), _("{life} at {average:.0f} uA").format(life=life, average=found.average_ua)))
    return rows


def settings(board: Board, entries: list[Entry]) -> list[tuple[str, str, str]]:
    """(name, value, source) of its service's settings. The newest entry that names one says what the board has, since when."""
    latest: dict[str, Entry] = {}
    for entry in entries:
        latest |= dict.fromkeys(map(str, entry.get("calibration") or {}), entry)
    rows = []
    for name in dict.fromkeys([*board.settings, *latest]):
        found, written = latest.get(name), str(board.settings.get(name, "-"))
        if found is None:
            rows.append((name, written, "boards.yaml"))
            continue
        value = part(found, "calibration", name)
        other = f" (boards.yaml: {written})" if value != written else ""
        rows.append((name, value, f"{when(found['at'])}, {part(found, 'who')}{other}"))
    return rows


def wires(inv: Inventory, board: Board) -> list[tuple[str, str, str]]:
    """(part, what it is, its pins) of everything that is wired to the board."""
    rows = []
    for sensor in board.sensors.values():
        driver = inv.presets.drivers[sensor.driver]
        rows.append((sensor.name, f"{driver.title} ({driver.name})", _pins(sensor.wiring)))
    if board.radio:
        rows.append((_("radio"), board.radio.module.title, _pins(board.radio.wiring)))
    if board.battery:
        ratio = board.battery["divider_x1000"] / 1000
        rows.append((_("battery"), _("divider {ratio:g}:1").format(ratio=ratio), f"adc {board.battery['adc']}"))
    if board.power.done is not None:
        rows.append((_("power gate"), board.power.profile, f"done {board.power.done}"))
    return rows


def _pins(wiring: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {f'0x{pin:02x}' if name == 'address' else pin}" for name, pin in wiring.items())


def versions(entry: Entry) -> Rows:
    """What runs on it, and its hashes."""
    rows = [(_("flashed"), f"{when(entry['at'])}, {part(entry, 'who')}")]
    rows += [(str(name), part(entry, "versions", name)) for name in entry.get("versions") or {}]
    return rows + [(f"{name} SHA-256", part(entry, "hashes", name)) for name in entry.get("hashes") or {}]


def uplink(entry: Entry) -> str:
    """The first frame that was seen of it."""
    said = _("{date}: key id {kid}, counter {piv}, by {via}")
    words = {name: part(entry, "uplink", name) for name in ("kid", "piv", "via")}
    return said.format(date=when(entry["at"]), **words)
