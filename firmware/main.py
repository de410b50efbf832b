"""The launcher: all that is source on a board. Loads the slot and runs the application of the board's role."""

import sys
import time

sys.path.insert(0, "/a")

while True:
    try:
        for name in open("/a/modules"):  # what others import comes first: a board's stack is 33 calls deep
            __import__(name.strip())
        role = __import__("firmware.node.config", None, None, ("load",)).load("/")["role"]
        __import__("firmware.%s.app" % role, None, None, ("run",)).run()
    except KeyboardInterrupt:
        break  # to the REPL
    except Exception as error:
        sys.print_exception(error)
        time.sleep(10)
