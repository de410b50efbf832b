"""The launcher: all that is source on a board. Arms the watchdog, climbs the ladder; whatever falls down becomes a reset."""

import machine
import micropython
import sys
import time

micropython.kbd_intr(-1)  # the ladder knows whether a person may stop this board; where there is none, the REPL is next
dog, ladder = machine.WDT(timeout=8000), __import__("ladder")
try:
    try:
        ladder.climb(dog)
    except Exception as error:
        sys.print_exception(error)
        for _ in range(10):  # a crash loop must not break the law of the air
            dog.feed()
            time.sleep(1)
        machine.reset()
except KeyboardInterrupt:  # to the REPL, which nobody resets meanwhile
    timer = machine.Timer(0 if sys.platform == "esp32" else -1, period=1000, callback=lambda timer: dog.feed())
