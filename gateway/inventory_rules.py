"""The rules of boards.yaml: what must hold between its entries, and between an entry and its presets."""

from collections.abc import Callable

from firmware.radio import airtime, plan
from gateway import inventory_lorawan, inventory_power, pins
from gateway.inventory_checks import Fleet, Loc, Report
from gateway.inventory_entries import Board, Sensor
from gateway.place import distance_m
from gateway.presets import BUSES, RADIO_PINS, Service

NEAR_M = 50_000


def check(fleet: Fleet, report: Report) -> None:
    """Every rule over the whole fleet; faults go to the report."""
    for rule in RULES:
        rule(fleet, report)
    for name, board in fleet.boards.items():
        for board_rule in BOARD_RULES:
            board_rule(fleet, report, ("boards", name), board)


def _references(fleet: Fleet, report: Report) -> None:
    """Sites, plans and gateways that are named must be there."""
    for section, entries in (("gateways", fleet.gateways), ("boards", fleet.boards)):
        for name, entry in entries.items():
            if entry.site is None and len(fleet.sites) > 1:
                report.need((section, name), "site", "needs 'site': there are several")
            elif entry.site is not None and entry.site not in _written(report, "sites"):
                report.unknown((section, name, "site"), entry.site, fleet.sites, "site")
    for name, site in fleet.sites.items():
        if site.plan is not None and site.plan not in _written(report, "plans"):
            report.unknown(("sites", name, "plan"), site.plan, fleet.plans, "plan")


def _written(report: Report, section: str) -> dict[str, object]:
    """The names that stand in a section, those of faulty entries too: one fault is enough."""
    node = report.top.get(section)
    return node.value if node is not None and isinstance(node.value, dict) else {}


def _once(fleet: Fleet, report: Report) -> None:
    """A key id names one context in a site, for ever; a unique id is on one chip."""
    kids: dict[tuple[str, str], str] = {}
    uids: dict[str, str] = {}
    for name, board in fleet.boards.items():
        for at, kid in enumerate(board.kids):
            first = kids.setdefault((fleet.site(board), kid), name)
            if first != name or board.kids.index(kid) != at:
                report.add(("boards", name, "kids", at), "key id {kid} is already used by {other}", kid=kid, other=first)
        if board.uid is not None and uids.setdefault(board.uid, name) != name:
            report.add(("boards", name, "uid"), "unique id {uid} is already that of {other}",
                       uid=board.uid, other=uids[board.uid])  # fmt: skip


def _bridges(fleet: Fleet, report: Report) -> None:
    """A site with radio boards needs a radio bridge on one of its gateways."""
    bridged = {board.gateway for board in fleet.boards.values() if board.role == "bridge"}
    bridged_sites = {fleet.site(gateway) for name, gateway in fleet.gateways.items() if name in bridged}
    radio_sites = {fleet.site(board) for board in fleet.boards.values() if fleet.link(board) == "radio"}
    whole = not any(loc[0] == "boards" and loc[-1] in ("role", "link", "gateway", "site") for loc in report.broken)
    for name, gateway in fleet.gateways.items():
        site = fleet.site(gateway)
        if site in radio_sites and site not in bridged_sites and whole:
            report.add(("gateways", name), "no radio bridge: its site has radio boards that nobody hears; "
                       "add a board with role: bridge and gateway: {name}", at_key=True, name=name)  # fmt: skip


def _law(fleet: Fleet, report: Report) -> None:
    """A plan keeps inside a sub-band of the law and below its power with the usual antenna of 2 dBi."""
    for name, entry in fleet.plans.items():
        loc: Loc = ("plans", name)
        band = plan.band_of(entry.freq_hz, entry.bw_hz, plan.PLANS[entry.band])
        if band is None:
            known = ", ".join(f"{lo / 1e6:g}-{hi / 1e6:g}" for lo, hi, _, _ in plan.PLANS[entry.band])
            report.add((*loc, "freq_hz"), "{mhz} MHz, {khz} kHz wide, is outside {band} (MHz: {known})",
                       mhz=entry.freq_hz / 1e6, khz=entry.bw_hz // 1000, band=entry.band, known=known)  # fmt: skip
        elif entry.power_dbm > band[3]:
            report.add((*loc, "power_dbm"), "{band} allows {limit} dBm ERP here", band=entry.band, limit=band[3])


def _kind(fleet: Fleet, report: Report, loc: Loc, board: Board) -> None:
    if board.type not in fleet.presets.boards:
        report.unknown((*loc, "type"), board.type, fleet.presets.boards, "board type")
    if board.plan is not None and board.plan not in _written(report, "plans"):
        report.unknown((*loc, "plan"), board.plan, fleet.plans, "plan")
    if board.gateway is not None and board.gateway not in _written(report, "gateways"):
        report.unknown((*loc, "gateway"), board.gateway, fleet.gateways, "gateway")
    if board.gateway is None and fleet.link(board) == "serial":
        report.need(loc, "gateway", "is wired and needs 'gateway': whose port does it hang on?")
    gateway = fleet.gateways.get(board.gateway or "")
    if gateway is not None and fleet.site(gateway) != fleet.site(board):
        report.add((*loc, "gateway"), "gateway {name} belongs to site {site}", name=board.gateway, site=fleet.site(gateway))
    if board.role == "bridge" and board.link == "radio":
        report.add((*loc, "link"), "a radio bridge hangs on a serial port: link must be serial")


def _identity(fleet: Fleet, report: Report, loc: Loc, board: Board) -> None:
    if board.role == "bridge":
        if board.kids:
            report.add((*loc, "kids"), "a radio bridge has no key")
        if board.service is not None:
            report.add((*loc, "service"), "a radio bridge has no service")
    elif not board.kids:
        report.need(loc, "kids", "needs 'kids', such as kids: [\"0001\"]")
    kind = fleet.presets.boards.get(board.type)
    if kind is not None and board.uid is not None and len(board.uid) != 2 * kind.uid_bytes:
        report.add((*loc, "uid"), "a {type} has a unique id of {digits} hexadecimal digits",
                   type=board.type, digits=2 * kind.uid_bytes)  # fmt: skip


def _service(fleet: Fleet, report: Report, loc: Loc, board: Board) -> None:
    if board.role == "bridge":
        return
    if board.service is None:
        report.need(loc, "service", "needs 'service' (known: {known})", known=", ".join(fleet.presets.services))
        return
    service = fleet.presets.services.get(board.service)
    if service is None:
        report.unknown((*loc, "service"), board.service, fleet.presets.services, "service")
        return
    for part, sensor in board.sensors.items():
        _part(fleet, report, (*loc, "sensors", part), sensor, service)
    for part, (required, drivers) in service.sensors.items():
        if required and part not in board.sensors:
            report.need(loc, "sensors", "service {service} needs the sensor '{part}' ({drivers})",
                        service=board.service, part=part, drivers=", ".join(drivers))  # fmt: skip
    _settings(report, loc, board, service)


def _part(fleet: Fleet, report: Report, loc: Loc, sensor: Sensor, service: Service) -> None:
    part = str(loc[-1])
    if part not in service.sensors:
        report.unknown(loc, part, service.sensors, "key")
        return
    _, fitting = service.sensors[part]
    place: Loc = (*loc, "driver") if isinstance(report.top.find(loc).value, dict) else loc
    driver = fleet.presets.drivers.get(sensor.driver)
    if sensor.driver not in fitting:
        report.unknown(place, sensor.driver, fitting, "driver" if driver is None else "driver for this")
        return
    assert driver is not None
    unit, pins = BUSES[driver.bus]
    known = [*pins, *([unit] if unit else []), *(["address"] if driver.address else []), *driver.options]
    for key in sensor.wiring():
        if key not in known:
            report.unknown((*loc, key), key, known)
    if sensor.address is not None and driver.address and sensor.address not in driver.address:
        report.add((*loc, "address"), "{driver} has no address {address} (it can have {known})", driver=sensor.driver,
                   address=sensor.address, known=", ".join(map(str, driver.address)))  # fmt: skip


def _settings(report: Report, loc: Loc, board: Board, service: Service) -> None:
    for key, value in board.settings.items():
        at = (*loc, "settings", key)
        if key not in service.settings:
            report.unknown(at, key, service.settings, "key")
        elif not service.settings[key].lo <= value <= service.settings[key].hi:
            limits = service.settings[key]
            report.add(at, "must be within {lo} to {hi}", lo=limits.lo, hi=limits.hi)
    for key, setting in service.settings.items():
        if setting.required and key not in board.settings:
            report.need((*loc, "settings"), key)
    for group in service.together:
        given = [key for key in group if key in board.settings]
        for key in group if given else ():
            if key not in given:
                report.need((*loc, "settings"), key, "'{given}' needs '{key}' too", given=given[0])
    for small, large in service.less:
        if small in board.settings and large in board.settings and board.settings[small] >= board.settings[large]:
            report.add((*loc, "settings", small), "must be less than {other}", other=large)


def _radio(fleet: Fleet, report: Report, loc: Loc, board: Board) -> None:
    if not fleet.has_radio(board):
        if board.radio is not None:
            report.add((*loc, "radio"), "a wired board uses no radio", at_key=True)
        return
    kind = fleet.presets.boards.get(board.type)
    module = fleet.module(board)
    if module is None and board.radio is not None:
        place: Loc = (*loc, "radio", "module") if isinstance(report.top.find((*loc, "radio")).value, dict) else (*loc, "radio")
        report.unknown(place, board.radio.module, fleet.presets.radios, "radio module")
    elif module is None and kind is not None:
        report.need(loc, "radio", "needs 'radio' (known: {known})", known=", ".join(sorted(fleet.presets.radios)))
    elif module is not None and kind is not None:
        wiring = fleet.radio_wiring(board, module)
        for pin in (*RADIO_PINS, *module.needs):
            if pin not in wiring:
                report.add((*loc, "radio"), "{module} needs the pin '{pin}'", at_key=True, module=module.name, pin=pin)
    if fleet.plan(board) is None and ("sites", fleet.site(board), "plan") not in report.broken:
        report.need(loc, "plan", "needs 'plan', here or at its site")


def _airtime(fleet: Fleet, report: Report, loc: Loc, board: Board) -> None:
    """With its antenna, its module and its interval a board can do what its plan asks, and the law allows it."""
    entry = fleet.plans.get(fleet.plan(board) or "")
    module = fleet.module(board)
    band = plan.band_of(entry.freq_hz, entry.bw_hz, plan.PLANS[entry.band]) if entry else None
    if entry is None or module is None or band is None:
        return
    antenna = board.radio.antenna_dbi if board.radio and board.radio.antenna_dbi is not None else module.antenna_dbi
    limit = plan.power_limit_dbm(entry.freq_hz, antenna, plan.PLANS[entry.band])
    if entry.power_dbm <= band[3] and entry.power_dbm > limit:
        report.add((*loc, "radio"), "{power} dBm into an antenna of {antenna} dBi is over the {erp} dBm ERP of {band}",
                   power=entry.power_dbm, antenna=antenna, erp=band[3], band=entry.band)  # fmt: skip
    low, high = module.power_dbm
    if not low <= entry.power_dbm <= high:
        report.add((*loc, "radio"), "{module} sends with {low} to {high} dBm, the plan says {power}",
                   module=module.name, low=low, high=high, power=entry.power_dbm)  # fmt: skip
    service = fleet.presets.services.get(board.service or "")
    if service is not None:
        size = min(service.frame_bytes, 50) if entry.sf >= 10 else service.frame_bytes
        on_air_us = airtime.airtime_us(size, entry.sf, entry.bw_hz, entry.cr)
        least_s = -(-on_air_us // band[2])
        if board.report_s < least_s:
            report.add((*loc, "report_s"), "{ms} ms on air each need {least} s at least by the duty cycle of {percent} %",
                       ms=on_air_us // 1000, least=least_s, percent=band[2] / 10_000)  # fmt: skip


def _place(fleet: Fleet, report: Report, loc: Loc, board: Board) -> None:
    """Latitude and longitude swapped puts a board on another continent."""
    near = [
        gateway.position
        for name, gateway in fleet.gateways.items()
        if fleet.site(gateway) == fleet.site(board) and ("gateways", name, "position") not in report.broken
    ]
    if near and min(distance_m(place, board.position) for place in near) > NEAR_M:
        report.add((*loc, "position"), "is over {km} km from every gateway of its site: [latitude, longitude] swapped?",
                   km=NEAR_M // 1000)  # fmt: skip


RULES: tuple[Callable[[Fleet, Report], None], ...] = (
    _references,
    _once,
    inventory_lorawan.once,
    _bridges,
    _law,
)
BOARD_RULES: tuple[Callable[[Fleet, Report, Loc, Board], None], ...] = (
    _kind,
    _identity,
    _service,
    _radio,
    _airtime,
    inventory_power.power,
    pins.check,
    _place,
)
