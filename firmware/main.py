"""The launcher: all that is source on a board. Arms the watchdog, climbs the ladder; whatever falls down becomes a reset."""

import machine
import sys
import time

dog = machine.WDT(timeout=8000)
try:
    try:
        import ladder

        ladder.climb(dog)
    except Exception as error:
        sys.print_exception(error)
        for _ in range(10):  # a crash loop must not break the law of the air
            dog.feed()
            time.sleep(1)
        machine.reset()
except KeyboardInterrupt:  # to the REPL, which nobody resets meanwhile
    timer = machine.Timer(0 if sys.platform == "esp32" else -1, period=1000, callback=lambda timer: dog.feed())
