"""Takes secrets out of text that leaves the house. Pure.

What is known to be a secret goes wherever it stands; besides that what looks like one: keys in hexadecimal and base64,
passwords in addresses, what is called a password or a token, PEM blocks. Rather too much than too little, but a date, a path, a
unique id (16 digits), a key id and a sentence stay.
"""

import hashlib
import re
from collections.abc import Iterable

GONE = "(removed)"
KNOWN_LEAST = 6  # characters: a shorter word would take half the text with it
_MIXED_LEAST, _MIXED_SHARE, _MIXED_DIGITS = 24, 0.22, 2

# Also one whose end was cut off: up to what no PEM holds, such as the quote behind it.
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(?:.{0,5000}?-----END \1-----|(?:[\w+/=\s,:.-]|\\[nr])*)", re.DOTALL)
# What follows is linear in the text whatever stands there: runs are bounded, or tried from their beginning alone.
_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}://)\S{0,2000}@")
# A word that names a secret, and its value: to the closing quote, else to the end of the word (of the line after `:`).
_NAMED = re.compile(
    r"""((?:pass(?:word|phrase|wd)?|pwd|secret|token|credential|private[_-]?key|psk|api[_-]?key|authorization|app[_-]?s?key
        |nwk[_-]?s?key|k_(?:up|dn|hop|sv))\w{0,40}["']?\s*(?:=|:|\s(?=["'])|(?<=-password)\s|(?<=-secret)\s|(?<=-token)\s)\s*)
        (?:(")(?:\\.|[^"\\\n])*"|(')[^'\n]*'|[^\s,;}\]"'][^\n,;}\]"']*)""",
    re.IGNORECASE | re.VERBOSE,
)
# ... but the name of a file is no secret; what looks like one in it goes by the other rules.
_OF_A_FILE = re.compile(r"_(?:file|path|folder|id)s?\b", re.IGNORECASE)
_OWNER = re.compile(r"(LW:D0(?::[0-9A-F]+){3}:)O[^:\s]+", re.IGNORECASE)  # the owner token of a TR005 label
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}[:-]){15,}[0-9A-Fa-f]{2}|(?:(?:0x|\\x)[0-9A-Fa-f]{2}[\s,]*){16,}|[0-9A-Fa-f]{32,}")
_PADDED = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{20,}+(?:==|=(?!=)(?![\"']?(?:[A-Za-z0-9_/$-]|\.[0-9/])))")
_UID = re.compile(r"(?<![A-Za-z0-9])(?:[0-9a-f]{12}|[0-9a-f]{16})(?![A-Za-z0-9])")
_STEP = re.compile(r"(?=[a-z][A-Z0-9]|[A-Z][0-9]|[0-9][A-Za-z])")
_MIXED = re.compile(rf"[A-Za-z0-9+/_-]{{{_MIXED_LEAST},}}")


def redact(text: str, known: Iterable[str] = ()) -> str:
    """The text without secrets. known: secrets that may stand in it in any place, as they are."""
    for word in sorted({word for word in known if len(word) >= KNOWN_LEAST}, key=len, reverse=True):
        text = text.replace(word, GONE)
    text = _PEM.sub(GONE, text)
    text = _USER.sub(rf"\1{GONE}@", text)
    text = _NAMED.sub(_named, text)
    text = _OWNER.sub(rf"\1O{GONE}", text)
    text = _HEX.sub(lambda found: alias(found[0]), text)
    text = _PADDED.sub(GONE, text)
    return _MIXED.sub(lambda found: GONE if _is_mixed(found[0]) else found[0], text)


def alias(digits: str) -> str:
    """A name for a long number, the same wherever it stands, to see that two are equal; the number cannot be had from it."""
    plain = "".join(re.findall(r"[0-9a-f]", digits.lower().replace("0x", "").replace("\\x", "")))
    return f"(hex {hashlib.sha256(plain.encode()).hexdigest()[:8]})"


def _named(found: re.Match[str]) -> str:
    quote = found[2] or found[3] or ""
    return found[0] if _OF_A_FILE.search(found[1]) else f"{found[1]}{quote}{GONE}{quote}"


def _is_mixed(word: str) -> bool:
    """Do capitals, small letters and digits alternate as in no word that people make? A unique id counts as a word."""
    word = _UID.sub("id", word)
    digits = sum(character.isdigit() for character in word)
    return digits >= _MIXED_DIGITS and len(_STEP.findall(word)) >= _MIXED_SHARE * len(word)


def uncommented(text: str) -> str:
    """TOML or YAML without its comments, in which anything may stand; lines stay where they are.

    A `#` begins one outside quotes, at the beginning of a line or after a blank; a quote opens where a value begins.
    """
    return "\n".join(_uncommented(line) for line in text.split("\n"))


def _uncommented(line: str) -> str:
    quote, before = "", " "
    for at, character in enumerate(line):
        if quote:
            quote = "" if character == quote and before != "\\" else quote
        elif character in "\"'" and before in " \t=[{,:(":
            quote = character
        elif character == "#" and before in " \t\"'])}":
            return line[:at].rstrip()
        before = character
    return line
