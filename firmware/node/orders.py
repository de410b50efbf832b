"""What an answer, or a person at the console, asks of this board: loaded when it is asked, and forgotten afterwards (forget.py).

An order is done once: its id and its result are one record with its effect (settings.py). What it changes is in force from the
restart that follows.
"""

import asyncio

from firmware.wire.downlink import accept_downlink
from firmware.wire.errors import DeviceError, WireError, const
from firmware.wire.quantities import BLOCK, COMMAND, INTERVAL, MORE, ORDER, TIME

from . import config as configuration, plan as law, settings

REBOOT = const(1)
CALIBRATE = const(2)
SET = const(3)
PLAN = const(4)
UPDATE = const(5)

_PLAN = ("freq_hz", "sf", "bw_hz", "cr", "power_dbm")  # of an order PLAN, in this order
_TRIES = const(3)  # questions on a new radio plan; then the old one is taken again
_PAUSE_MS = const(1000)  # before a restart, for what is still to be written to the line


async def take(app, frame, piv):
    """Do what the answer `frame` to the uplink `piv` asks; frame None: it was waited for, and none came.

    Returns why it is refused (a name of WireError), or None.
    """
    orders = Orders(app)
    if frame is None:
        orders.unanswered()
    else:
        try:
            answer = accept_downlink(app.link.keys, frame, piv)
        except (WireError, TypeError) as error:
            name = getattr(error, "name", "format")
            app.board.faults.log("answer refused: %s" % name)
            return name
        app.uplink.awaited = None  # exactly one
        if app.board.ladder.trial:
            app.board.ladder.answered()
        app.board.faults.log("answer to %d" % piv)
        await orders.answered(answer)
        if answer.get(MORE):
            app.board.faults.ask = True
            if len(app.queue.ids) == len(app.link.held):
                app.uplink.push({})  # else the question goes with what waits
            return None
    if app.uplink.restart:
        app.uplink.later = asyncio.create_task(restart(app))
    return None


async def restart(app):
    """Restart the board in a moment."""
    await asyncio.sleep_ms(_PAUSE_MS)
    app.uplink.restart = False
    app.board.faults.log("restart")
    app.board.ladder.reboot()


class Orders:
    """The orders of one answer to `app` (a Node). Its record: {"done": [kid, id, result, told], "trial": {...}, ...}.

    Effects set `app.uplink.restart`; whoever calls `apply` then calls `restart`.
    """

    def __init__(self, app):
        self._app = app
        self._root = app.root
        self.changed = settings.load(app.root)[0]
        self._dirty = False

    # -- an answer

    async def answered(self, answer):
        """The gateway hears this board: what was told is told, a plan on trial is good. Then do what it asks."""
        uplink, changed = self._app.uplink, self.changed
        if uplink.result and uplink.result[1] is not None:
            uplink.result = None
            if "done" in changed:
                changed["done"][3] = True
                self._dirty = True
        if uplink.trial:
            self._decide(0)
        if TIME in answer:
            uptime = self._app.board.uptime
            uptime.ahead_s = answer[TIME] - uptime.ms() // 1000
        if BLOCK in answer and uplink.block and self.changed.get("update"):
            await self._block(answer[BLOCK])
        if COMMAND in answer or INTERVAL in answer or ORDER in answer:
            await self.apply(answer.get(COMMAND), answer)
        if self._dirty:
            self._save()

    def unanswered(self):
        """A question was in vain: a plan on trial has one try less."""
        trial = self.changed.get("trial")
        if not trial:
            return
        trial["left"] -= 1
        self._dirty = True
        if trial["left"] <= 0:
            self._decide(62)
            self._app.uplink.restart = True
        self._save()

    def _decide(self, result):
        # The end of a trial: the plan stays (0), or the one before it comes back.
        changed, uplink = self.changed, self._app.uplink
        trial = changed.pop("trial", {})
        if result:
            changed.pop("plan", None)
            if trial.get("plan"):
                changed["plan"] = trial["plan"]
        done = changed.get("done")
        if done and done[0] == self._app.link.keys.kid:
            done[2] = result
            uplink.result = (done[1], result)
        uplink.trial = False
        self._dirty = True

    def _save(self):
        self._dirty = False
        try:
            settings.save(self._root, self.changed)
        except DeviceError as error:
            self._app.board.faults.note(error)
            return False
        return True

    # -- orders

    async def apply(self, ident, payload):
        """Do what `payload` asks: INTERVAL, ORDER. Return 0 or the error's code; it is told in the next uplink.

        ident: the command's id, for which it is done once; None: asked by a person on the spot, and told to nobody.
        """
        app = self._app
        kid = app.link.keys.kid
        done = self.changed.get("done")
        if ident is not None and done and done[:2] == [kid, ident]:
            if not app.uplink.trial:
                app.uplink.result = (ident, done[2])  # not heard the first time
            return done[2] or 0
        code = 0
        before = dict(self.changed)
        try:
            again = await self._effects(payload)
        except Exception as error:  # whatever it is, the gateway hears of it
            if not isinstance(error, DeviceError):
                app.board.faults.note(error, "order")
                error = DeviceError("order_failed")
            app.board.faults.log("order refused: %s %s" % (error.name, error.detail))
            self.changed = before
            again, code = False, error.code
        trial = "trial" in self.changed
        if ident is not None:
            self.changed["done"] = [kid, ident, code, False]
        if not self._save():
            self.changed = before
            again, trial, code = False, False, 62
        if ident is not None:
            app.uplink.result = (ident, None if trial and not code else code)
        app.uplink.restart = app.uplink.restart or again
        return code

    async def _effects(self, payload):
        # Write everything into `changed`; True: a restart brings it in force. DeviceError: what is refused.
        again = False
        if INTERVAL in payload:
            seconds = payload[INTERVAL]
            if not 10 <= seconds <= 86400:
                raise DeviceError("order_value", "interval")
            self.changed["report_s"] = seconds
            again = True
        order = payload.get(ORDER)
        if order is None:
            return again
        if type(order) is not list or not order:
            raise DeviceError("order_unknown", "no order")
        number, rest = order[0], order[1:]
        if number == CALIBRATE:
            await self._calibrate()
        elif number == SET:
            self._set(rest)
        elif number == PLAN:
            self._plan(rest)
        elif number == UPDATE:
            self._update(rest)
        elif number != REBOOT:
            raise DeviceError("order_unknown", "order %s" % number)
        return True

    def _config(self):
        return configuration.load(self._root)

    async def _calibrate(self):
        from firmware.services.calibration import calibrate

        schedule = self._app.schedule
        async with schedule.lock:  # a driver is used by one task at a time
            try:
                found = await calibrate(schedule.service)
            except DeviceError as error:
                raise DeviceError("order_failed", "calibrate: %s" % error.name)
        self._merge(found, "order_failed")

    def _set(self, rest):
        # name, value, name, value ...
        if not rest or len(rest) % 2:
            raise DeviceError("order_value", "settings")
        self._merge({rest[i]: rest[i + 1] for i in range(0, len(rest), 2)}, "order_value")

    def _merge(self, values, wrong):
        # What a setting may be stands in the configuration, as the service's preset has it.
        config = self._config()
        limits = config.get("limits") or {}
        for name, value in values.items():
            low, high = limits.get("range", {}).get(name, (1, 0))
            if type(value) is not int or not low <= value <= high:
                raise DeviceError(wrong, str(name))
        together = dict(config["settings"])
        together.update(values)
        for small, large in limits.get("less", ()):
            if small in together and large in together and together[small] >= together[large]:
                raise DeviceError(wrong, "%s, %s" % (small, large))
        for group in limits.get("together", ()):
            if 0 < sum(name in together for name in group) < len(group):
                raise DeviceError(wrong, group[0])
        mine = dict(self.changed.get("settings") or {})
        mine.update(values)
        self.changed["settings"] = mine

    def _plan(self, rest):
        # freq_hz, sf, bw_hz, cr, power_dbm: taken on trial.
        config = self._config()
        if self._app.radio is None or len(rest) != len(_PLAN):
            raise DeviceError("order_value", "plan")
        new = {name: rest[i] for i, name in enumerate(_PLAN)}
        plan = dict(config["plan"])
        plan.update(new)
        try:
            made = law.settings_of(plan, law.bands_of(plan), config["radio"].get("antenna_dbi", 0))
            try:
                self._app.radio.configure(**made)  # says what this chip does not have; nothing reaches the chip yet
            finally:
                self._app.radio.configure(**self._app.link.settings)
        except DeviceError as error:
            raise DeviceError("order_value", error.detail)
        self.changed["trial"] = {"left": _TRIES, "plan": self.changed.get("plan") or {}}
        self.changed["plan"] = new

    def _update(self, rest):
        # The release's name; none: no more of it.
        if self._app.radio is None or len(rest) != 1 or type(rest[0]) is not bytes or len(rest[0]) not in (0, 8):
            raise DeviceError("order_value", "update")
        self.changed["update"] = rest[0]

    async def _block(self, block):
        # What the answer brought of a release; after the last block the board starts anew with it.
        from .update_radio import take as take_block

        uplink = self._app.uplink
        uplink.block = await take_block(self._app, self.changed["update"], block)
        if uplink.block is None or uplink.block is True:
            uplink.restart = uplink.block is True
            uplink.block = None
            del self.changed["update"]
            self._dirty = True
