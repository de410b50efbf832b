"""The launcher: all that is source on a board. Chooses the slot and runs the application of the board's role."""

import json
import sys
import time

sys.path.insert(0, "/a")

while True:
    try:
        with open("/config.json") as file:
            role = json.load(file)["role"]
        __import__("firmware.%s.app" % role, None, None, ("run",)).run()
    except KeyboardInterrupt:
        break  # to the REPL
    except Exception as error:
        sys.print_exception(error)
        time.sleep(10)
