"""French and English by gettext. `tools/locale/fr/LC_MESSAGES/jourdain.po` is written by people, the `.mo` beside it is
made from it: `python -P -m tools.i18n`. The language is that of LANGUAGE, LC_ALL, LC_MESSAGES or LANG.

Loading this module also hands our catalogue to click, which asks gettext for the texts of its own.
"""

import gettext
import re
import struct
import sys
from ast import literal_eval
from pathlib import Path

DOMAIN = "jourdain"
LOCALE = Path(__file__).parent / "locale"
LANGUAGES = ("fr",)

gettext.bindtextdomain(DOMAIN, str(LOCALE))
gettext.textdomain(DOMAIN)


def _(message: str) -> str:
    """The message in the user's language, itself where there is no translation."""
    return gettext.gettext(message) if message else ""


def n_(one: str, many: str, count: int) -> str:
    """The message for so many things."""
    return gettext.ngettext(one, many, count)


def catalogue(language: str) -> Path:
    """The .po file of a language."""
    return LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po"


Key = str | tuple[str, str]


def read_po(text: str) -> dict[Key, str | list[str]]:
    """Messages of a .po text; those with a plural under (one, many). Raises ValueError, naming the line, for a bad line."""
    messages: dict[Key, str | list[str]] = {}
    parts: dict[str, str] = {}
    field = ""
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        stripped = line.strip()
        if not stripped:
            _finish(parts, messages)
            parts, field = {}, ""
        elif stripped.startswith("#"):
            continue
        else:
            match = re.fullmatch(r'(?:(msgid|msgid_plural|msgstr(?:\[\d\])?)\s+)?(".*")', stripped)
            if match is None or not (match[1] or field):
                raise ValueError(f"line {number}: {stripped}")
            field = match[1] or field
            parts[field] = parts.get(field, "") + literal_eval(match[2])
    return messages


def _finish(parts: dict[str, str], messages: dict[Key, str | list[str]]) -> None:
    if "msgid" not in parts:
        return
    if "msgid_plural" in parts:
        key: Key = (parts["msgid"], parts["msgid_plural"])
        messages[key] = [parts.get("msgstr[0]", ""), parts.get("msgstr[1]", "")]
    else:
        key = parts["msgid"]
        if key in messages:
            raise ValueError(f"a message stands twice: {key!r}")
        messages[key] = parts.get("msgstr", "")


def compile_mo(messages: dict[Key, str | list[str]]) -> bytes:
    """The .mo file of the messages that have a translation: GNU gettext manual, "The Format of GNU MO Files"."""
    pairs = []
    for key, text in messages.items():
        whole = "\0".join(text) if isinstance(text, list) else text
        if whole.strip("\0"):
            pairs.append(("\0".join(key) if isinstance(key, tuple) else key, whole))
    encoded = [(key.encode(), text.encode()) for key, text in sorted(pairs)]
    keys_at, texts_at = 28, 28 + 8 * len(encoded)
    offset = texts_at + 8 * len(encoded)
    tables: list[bytes] = []
    strings = b""
    for column in (0, 1):
        for pair in encoded:
            tables.append(struct.pack("<II", len(pair[column]), offset + len(strings)))
            strings += pair[column] + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(encoded), keys_at, texts_at, 0, offset)
    return head + b"".join(tables) + strings


def main() -> None:
    """Write the .mo file of each language."""
    for language in LANGUAGES:
        path = catalogue(language)
        messages = read_po(path.read_text(encoding="utf-8"))
        path.with_suffix(".mo").write_bytes(compile_mo(messages))
        sys.stderr.write(f"{path.with_suffix('.mo')}: {len(messages)} messages\n")


if __name__ == "__main__":
    main()
