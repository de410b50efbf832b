#!/usr/bin/env python3
"""esptool 5 as the flash tool calls it, in front of an ESP32 that is a file: every argument is checked.

FAKE_ESPTOOL names a JSON file, or several (as PATH does) of which that of the port is taken: port, chip (ESP32-S3), mac, flash (a
file), log (what was asked, a JSON line each), and how it fails: "" or deaf, busy, breaks (in its midst), breaks_fast (so
at more than 115200 baud), unverified, hangs, old (an esptool 4). `pause_s` is how long each step of its progress takes. What it
prints is what the real one prints.
"""

import json
import os
import sys
import time
from pathlib import Path

CHIPS = {"esp32": "ESP32", "esp32s3": "ESP32-S3", "esp32c3": "ESP32-C3"}
TYPES = {"ESP32": "ESP32-D0WD-V3 (revision v3.1)", "ESP32-S3": "ESP32-S3 (QFN56) (revision v0.2)",
         "ESP32-C3": "ESP32-C3 (QFN32) (revision v0.4)"}  # fmt: skip
STEP = 16384
chips = [json.loads(Path(path).read_text()) for path in os.environ["FAKE_ESPTOOL"].split(os.pathsep)]
told = next((chip for chip in chips if chip["port"] in sys.argv), chips[0])


def say(text, end="\n"):
    print(text, end=end, flush=True)


def fatal(text):
    print(f"ERROR: A fatal error occurred: {text}", file=sys.stderr, flush=True)
    sys.exit(2)


def usage(text):
    print(f"Usage: esptool [OPTIONS] COMMAND [ARGS]...\n\nERROR: {text}", file=sys.stderr, flush=True)
    sys.exit(2)


def option(words, name):
    """The value of an option, which is taken out of `words`."""
    if words.count(name) != 1:
        usage(f"Missing option {name}")
    at = words.index(name)
    value = words[at + 1]
    del words[at : at + 2]
    return value


def number(word):
    if not word.startswith("0x"):
        usage(f"{word} is not a valid integer")
    return int(word, 16)


def main():
    words = sys.argv[1:]
    with open(told["log"], "a") as file:
        file.write(json.dumps(words) + "\n")
    if told.get("fails") == "old":
        print("esptool: error: argument operation: invalid choice: 'chip-id' (choose from 'load_ram', ...)", file=sys.stderr)
        sys.exit(2)
    how = {name: option(words, name) for name in ("--chip", "--port", "--baud", "--before", "--after", "--connect-attempts")}
    checks = (how["--chip"] in (*CHIPS, "auto"), int(how["--baud"]) in (115200, 460800), how["--before"] == "default-reset",
              how["--after"] == "hard-reset", 1 <= int(how["--connect-attempts"]) <= 10)  # fmt: skip
    if not all(checks):
        usage(f"wrong: {how}")
    say("esptool v5.6.0")
    connect(how)
    command, *rest = words
    {"chip-id": chip_id, "read-flash": read_flash, "erase-region": erase_region, "write-flash": write_flash}[command](how, *rest)
    say("\nHard resetting via RTS pin...")


def connect(how):
    port = how["--port"]
    say(f"Serial port {port}:")
    if told.get("fails") == "busy" or port != told["port"]:
        fatal(f"Could not open {port}, the port is busy or doesn't exist.\n([Errno 2] could not open port {port})\n")
    say("Connecting...", end="")
    if told.get("fails") == "hangs":
        time.sleep(600)
    if told.get("fails") == "deaf":
        say("......................................")
        fatal("Failed to connect to Espressif device: No serial data received.\nFor troubleshooting steps visit: ...")
    say("")
    if how["--chip"] not in ("auto", told["chip"].lower().replace("-", "")):
        fatal(f"This chip is {told['chip']}, not {CHIPS[how['--chip']]}. Wrong chip argument?")
    say(f"Connected to {told['chip']} on {port}:\nChip type:          {TYPES[told['chip']]}")
    say(f"Features:           Wi-Fi, BT 5 (LE), Dual Core\nCrystal frequency:  40MHz\nMAC:                {told['mac']}\n")
    say("Uploading stub flasher...\nRunning stub flasher...\nStub flasher running.")


def chip_id(_how):
    say(f"WARNING: {told['chip']} has no chip ID. Reading MAC address instead.\nMAC:                {told['mac']}")


def read_flash(_how, address, size, out):
    flash = Path(told["flash"]).read_bytes()
    Path(out).write_bytes(flash[number(address) : number(address) + number(size)])
    say(f"Read {number(size)} bytes from {number(address):#010x} in 0.1 seconds to {out!r}.")


def erase_region(_how, address, size):
    at, count = number(address), number(size)
    assert at % 4096 == count % 4096 == 0
    put(at, b"\xff" * count)
    say(f"Flash memory region erased successfully in 0.1 seconds ({at:#x} {count:#x}).")


def write_flash(how, address, name):
    at, data = number(address), Path(name).read_bytes()
    say(f"Compressed {len(data)} bytes to {len(data) // 2}...")
    for sent in range(0, len(data), STEP):
        say(f"Writing at {at + sent:#010x} {'━' * 10}          {100 * sent / len(data):.1f}% {sent}/{len(data)} bytes... ")
        time.sleep(told.get("pause_s", 0))
        fast = told.get("fails") == "breaks_fast" and int(how["--baud"]) > 115200
        if sent > len(data) // 2 and (told.get("fails") == "breaks" or fast):
            fatal("Failed to write compressed data to flash after seq 3 (result was 0105: Serial noise)")
        put(at + sent, data[sent : sent + STEP])
    say(f"Wrote {len(data)} bytes ({len(data) // 2} compressed) at {at:#010x} in 1.0 seconds (900.0 kbit/s).")
    say("Verifying written data...")
    if told.get("fails") == "unverified":
        say("Input MD5: 0123\nFlash MD5: 4567")
        fatal("MD5 of file does not match data in flash!")
    say("Hash of data verified.")


def put(at, data):
    with open(told["flash"], "r+b") as file:
        file.seek(at)
        file.write(data)


main()
