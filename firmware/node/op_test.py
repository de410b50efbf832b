"""Ops of the service console that measure: what the service reads now, and whether each part of the board answers."""

import os

from firmware.wire.errors import DeviceError

from . import config


def battery_mv(schedule):
    """Return the battery's voltage in mV, or None for a board that does not know it. DeviceError sensor_silent."""
    if not schedule.battery:
        return None
    read, factor, divisor = schedule.battery
    try:
        return sorted((read(), read(), read()))[1] * factor // divisor
    except OSError:
        raise DeviceError("sensor_silent", "battery")


async def _sensors(schedule, out):
    # What each sensor reads into out["sensors"], the code of its error into out["errors"].
    out["sensors"], out["errors"] = values, errors = {}, {}
    service = schedule.service
    sensors = getattr(service, "sensors", {})
    for name in sorted(sensors):
        try:
            values[name] = await sensors[name].read()
        except DeviceError as error:
            errors[name] = error.code
    if hasattr(service, "record"):
        service.record.reset()  # what the motion sensor had collected was lost by this look


async def readings(talk):
    """Return {"reading": {key: value}, "battery": mV, "sensors": {name: value}, "errors": {name: code}}: what is seen now.

    A service that only measures when it is asked gives its reading; of one that watches all the time, its sensors' values
    and its state. Nothing of it is sent or counted.
    """
    schedule = _schedule(talk)
    service = schedule.service
    now_s = talk.board.uptime.ms() // 1000
    out = {}
    async with schedule.lock:
        if not service.sample_s:
            out["reading"] = await service.report(now_s)
        else:
            await _sensors(schedule, out)
            if hasattr(service, "bay"):
                out["reading"] = service.bay.reading(now_s)
        out["battery"] = battery_mv(schedule)
    return out


async def selftest(talk):
    """Return what each part says of itself; the host knows the limits. What a board does not have is not in it."""
    board = talk.board
    app = board.app
    stat = os.statvfs(board.root or "/")
    out: dict = {"flash_free": stat[0] * stat[3]}
    if hasattr(app, "uplink"):
        out["piv"] = app.uplink.counter.upcoming
    radio = app.radio if app else None
    if radio:
        out["radio"] = _radio(app, radio)
    if hasattr(app, "schedule"):
        schedule = app.schedule
        async with schedule.lock:
            if schedule.service:
                sensors = config.load(board.root)["sensors"]
                out["drivers"] = {name: sensors[name]["driver"] for name in sensors}
                await _sensors(schedule, out)
            else:
                out["service"] = DeviceError("config").code
            try:
                out["battery"] = battery_mv(schedule)
            except DeviceError as error:
                out["battery_error"] = error.code
    return out


def _radio(app, radio):
    # 0, or the code of its error. Whoever sends or listens answers; a radio that is idle is started anew.
    link = getattr(app, "link", app)
    if link.up and (getattr(radio, "sending", False) or radio.receiving):
        return 0
    try:
        radio.begin()
    except DeviceError as error:
        return error.code
    radio.sleep()
    link.up = False  # its settings are gone
    return 0


def _schedule(talk):
    app = talk.board.app
    if not hasattr(app, "schedule") or not app.schedule.service:
        raise DeviceError("console_request", "no service runs on this board")
    return app.schedule
