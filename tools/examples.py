"""An example or two for each command that brings none in its own help: what a person copies. A test parses every one."""

import re

EXAMPLES = {
    "twin": ("jourdain twin --seconds 60", "jourdain twin --keep town --boards 100 --kill 3"),
    "gateway": ("jourdain gateway init", "jourdain gateway run --config gateway.toml"),
    "gateway init": ("jourdain gateway init --config /var/lib/jourdain/gateway.toml",),
    "gateway backup": ("jourdain gateway backup monday.backup --passphrase-file passphrase",),
    "gateway restore": ("jourdain gateway restore monday.backup --into new",),
    "gateway run": ("jourdain gateway run", "jourdain gateway run --config gateway.toml --events -v"),
    "gateway check": ("jourdain gateway check", "jourdain gateway check --config gateway.toml --json"),
    "gateway alarms": ("jourdain gateway alarms", "jourdain gateway alarms --clear auth/0002"),
    "command": ("jourdain command bin-quai interval 10m --wait", "jourdain command bin-quai list --json"),
    "check": ("jourdain check", "jourdain check town/boards.yaml --json"),
    "flash": ("jourdain flash bin-quai", "jourdain flash bin-quai --port /dev/ttyACM0 -n", "jourdain flash --all --yes --json"),
    "bundle check": ("jourdain bundle check", "jourdain bundle check /media/stick/jourdain.bundle --json"),
    "listen": ("jourdain listen", "jourdain listen --broker mqtts://broker.example --user town --csv"),
    "decode": ("jourdain decode 19000201a2", "jourdain decode 19000201a2 --secrets secrets.json --json"),
    "board": ("jourdain board bin-quai status", "jourdain board /dev/ttyACM0 log"),
    "board status": ("jourdain board bin-quai status --json",),
    "board counters": ("jourdain board bin-quai counters",),
    "board log": ("jourdain board bin-quai log",),
    "board readings": ("jourdain board bin-quai readings --count 3",),
    "board selftest": ("jourdain board bin-quai selftest --json",),
    "board calibrate": ("jourdain board bay-quai-1 calibrate",),
    "board set": ("jourdain board bin-quai set empty_mm=1150 full_mm=250",),
    "board interval": ("jourdain board bin-quai interval 600",),
    "board reboot": ("jourdain board bin-quai reboot",),
    "board production": ("jourdain board bin-quai production on",),
    "board open": ("jourdain board bin-quai open",),
    "board update": ("jourdain board bin-quai update bin.zip",),
    "plan": ("jourdain plan battery",),
    "plan battery": ("jourdain plan battery bin-quai", "jourdain plan battery --capacity 19000 --chemistry li-socl2"),
    "wiring": ("jourdain wiring bin-quai", "jourdain wiring bin-quai --svg bin-quai.svg"),
    "keys": ("jourdain keys new bin-quai", "jourdain keys check"),
    "keys new": ("jourdain keys new bin-quai", "jourdain keys new --all --json"),
    "keys rotate": ("jourdain keys rotate bin-quai",),
    "keys retire": ("jourdain keys retire 0002",),
    "keys list": ("jourdain keys list --json",),
    "keys check": ("jourdain keys check",),
    "keys export": ("jourdain keys export --role reader", "jourdain keys export --role controller --out keys.json"),
    "keys lock": ("jourdain keys lock",),
    "keys passphrase": ("jourdain keys passphrase",),
    "release": ("jourdain release key", "jourdain release build --key release.key"),
    "release key": ("jourdain release key --out release.key",),
    "release build": ("jourdain release build bin-quai --out bin.zip", "jourdain release build --type pico"),
    "release check": ("jourdain release check bin.zip --trust release.pub",),
}


def epilog(path: str) -> str:
    """`Examples: ...` of a command, without the word that is translated; empty where it has none here."""
    return ", ".join(f"`{words}`" for words in EXAMPLES.get(path, ()))


def a_line_each(text: str) -> str:
    """Examples as whole lines, which can be copied, where there is nothing beside them: click would break them anywhere."""
    head, _, rest = text.partition(": ")
    found = re.findall(r"`([^`]+)`", rest)
    if not found or re.sub(r"`[^`]+`|[,. ]", "", rest):
        return text
    return "\n".join(["\b", f"{head}:", *(f"  {words}" for words in found)])
