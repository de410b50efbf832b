"""How long the battery of a board lasts, in each profile that it could have; the arithmetic is firmware/node/energy.py."""

from dataclasses import dataclass
from typing import Any

from firmware.node import energy
from firmware.radio import airtime, plan
from gateway.inventory import Board, Inventory, Sensor
from gateway.presets import Driver
from tools.i18n import _

DAY_S = 86_400
LOW_RATE_SF, LOW_RATE_MAX = 10, 50
WINDOW_MS, WINDOW_SYMBOLS = 1100, 8  # from a frame's end to the end of the answer window
COMBINATION_SFS = (7, 9, 12)

# The usual combinations: title, capacity in mAh, chemistry, the board's currents.
_MODULE = {"deep_ua": 15, "light_ua": 0, "run_ua": 40_000, "wake_ms": 600}
_QUICK = {"deep_ua": 15, "light_ua": 0, "run_ua": 30_000, "wake_ms": 250}
_PICO = {"light_ua": 1300, "run_ua": 0, "work_ms": 0}
COMBINATIONS = (
    ("2 AA alkaline, ESP32 module, 0.6 s at 40 mA a wake", 2500, "alkaline", "deep", _MODULE),
    ("2 AA alkaline, ESP32 module, 0.25 s at 30 mA a wake", 2500, "alkaline", "deep", _QUICK),
    ("2 AA lithium, ESP32 module, 0.25 s at 30 mA a wake", 3000, "lithium", "deep", _QUICK),
    ("D cell Li-SOCl2, ESP32 module, 0.6 s at 40 mA a wake", 19_000, "li-socl2", "deep", _MODULE),
    ("2 AA alkaline, Pico in light sleep", 2500, "alkaline", "light", _PICO),
    ("D cell Li-SOCl2, Pico in light sleep", 19_000, "li-socl2", "light", _PICO),
)


@dataclass(frozen=True)
class Projection:
    """A board in one profile: average_ua and its parts in uA; days: of the battery, None without one."""

    profile: str
    average_ua: float
    parts: dict[str, float]
    days: int | None


def possible(inv: Inventory, board: Board) -> list[str]:
    """The profiles that a board's type and service could have."""
    known = inv.presets.boards[board.type].power
    keeps = board.service is not None and inv.presets.services[board.service].samples is not None
    return [
        profile
        for profile in energy.PROFILES
        if ("idle_ua" if profile == "always" else f"{profile}_ua") in known and not (keeps and profile in energy.COLD)
    ]


def project(inv: Inventory, board: Board, profile: str, capacity_mah: int | None, chemistry: str | None) -> Projection:
    """What a radio board draws in a profile, and how long a battery would give it."""
    rows = energy.draws(profile, inv.presets.boards[board.type].power, _use(inv, board))
    return projection(profile, rows, capacity_mah, chemistry)


def projection(profile: str, rows: list[tuple[str, int, int]], capacity_mah: int | None, chemistry: str | None) -> Projection:
    """The sums of rows of energy.draws."""
    parts: dict[str, float] = {}
    for what, current_ua, ms in rows:
        parts[what] = parts.get(what, 0.0) + current_ua * ms / energy.DAY_MS
    days = energy.life_days(capacity_mah, chemistry, energy.day_nc(rows)) if capacity_mah and chemistry else None
    return Projection(profile, sum(parts.values()), parts, days)


def _use(inv: Inventory, board: Board) -> dict[str, object]:
    """What a board does in a day, as energy.draws wants it."""
    assert board.service is not None
    assert board.plan is not None
    assert board.radio is not None
    service, radio = inv.presets.services[board.service], board.plan
    size = min(service.frame_bytes, LOW_RATE_MAX) if radio.sf >= LOW_RATE_SF else service.frame_bytes
    frame_us = airtime.airtime_us(size, radio.sf, radio.bw_hz, radio.cr)
    limit = plan.power_limit_dbm(radio.freq_hz, board.radio.antenna_dbi, plan.PLANS[radio.band])
    reports = DAY_S // board.report_s
    own = service.samples
    samples = DAY_S // int(board.settings.get("sample_s", own.every_s)) if own else 0
    return {
        "reports_day": reports,
        "samples_day": samples,
        "sample_ms": own.work_ms if own else 0,
        "frames_day": reports + service.events_day,
        "frame_ms": -(-frame_us // 1000),
        "tx_ua": tx_ua(board.radio.module.tx_ua, min(radio.power_dbm, limit)),
        "windows_day": 1,
        "window_ms": WINDOW_MS + WINDOW_SYMBOLS * airtime.symbol_us(radio.sf, radio.bw_hz) // 1000,
        "rx_ua": board.radio.module.rx_ua,
        "radio_sleep_ua": board.radio.module.sleep_ua,
        "sensors": [
            _draw(sensor, inv.presets.drivers[sensor.driver], samples if own and part == own.part else reports)
            for part, sensor in board.sensors.items()
        ],
    }


def _draw(sensor: Sensor, driver: Driver, times: int) -> tuple[str, int, int, int, int]:
    """A sensor that is switched by a pin draws nothing in between; the active current includes the standby's."""
    standby_ua = 0 if "power" in sensor.wiring else driver.standby_ua
    return sensor.name, max(0, driver.active_ua - standby_ua), driver.active_ms, standby_ua, times


def tx_ua(table: dict[int, int], power_dbm: int) -> int:
    """The current of the first power of the table that is enough."""
    return next((table[dbm] for dbm in sorted(table) if dbm >= power_dbm), max(table.values()))


def combinations() -> list[dict[str, Any]]:
    """The usual boards and batteries: 96 readings a day, SX1262 at 14 dBm, one reading a frame (30 B) and eight (49 B)."""
    found = []
    for title, capacity, chemistry, profile, power in COMBINATIONS:
        days: dict[str, list[int]] = {}
        for sf in COMBINATION_SFS:
            for size, frames in ((30, 96), (49, 12)):
                use = {
                    "reports_day": 96, "samples_day": 0, "sample_ms": 0, "frames_day": frames, "tx_ua": 45_000,
                    "frame_ms": (airtime.airtime_us(size, sf, 125_000, 5) + 500) // 1000,
                    "windows_day": 0, "window_ms": 0, "rx_ua": 0, "radio_sleep_ua": 0, "sensors": (),
                }  # fmt: skip
                rows = energy.draws(profile, power, use)
                days.setdefault(str(sf), []).append(energy.life_days(capacity, chemistry, energy.day_nc(rows)))
        found.append({"title": title, "capacity_mah": capacity, "chemistry": chemistry, "days": days})
    return found


def assumptions(inv: Inventory, boards: list[Board]) -> list[tuple[str, str]]:
    """(what, what is assumed of it, and who says so) for all that these boards are made of."""
    rows = [
        (_("battery"), _("whole nominal capacity, its self-discharge; no cold, no ageing; the cell ends at its shelf life")),
        (_("sending"), _("the longest periodic frame of the service, each sent once, an answer window a day")),
    ]
    for name in dict.fromkeys(board.type for board in boards):
        kind = inv.presets.boards[name]
        rows.append((name, ", ".join(f"{key} {value}" for key, value in kind.power.items()) + f" ({kind.source})"))
    for module in {board.radio.module.name: board.radio.module for board in boards if board.radio}.values():
        sends = ", ".join(f"{ua} at {dbm} dBm" for dbm, ua in sorted(module.tx_ua.items()))
        rows.append((module.name, f"tx_ua {sends}, rx_ua {module.rx_ua}, sleep_ua {module.sleep_ua} ({module.source})"))
    for name in dict.fromkeys(sensor.driver for board in boards for sensor in board.sensors.values()):
        driver = inv.presets.drivers[name]
        draws = f"active_ua {driver.active_ua} for {driver.active_ms} ms, standby_ua {driver.standby_ua}"
        rows.append((name, f"{draws} ({driver.source})"))
    for name in dict.fromkeys(board.service for board in boards if board.service):
        service = inv.presets.services[name]
        rows.append((name, f"{service.frame_bytes} B, {service.events_day} frames a day besides the reports"))
    return rows
