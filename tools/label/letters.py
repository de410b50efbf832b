"""Letters of five by seven dots for a label printer, drawn here: a PNG of a label needs no font of the machine that makes it.

A glyph is a row a character, seven from the top of a capital to the baseline and two below; a character's value in base 32 is the
row's five dots, the left one first. Accents are put together from a letter and its mark.
"""

import unicodedata
from collections.abc import Iterator

ADVANCE, ABOVE, ROWS = 6, 3, 12  # dots from a letter to the next; rows above a capital for its accent; rows in all
_GLYPHS = (
    " 0 !4444404 \"AAA #AAVAVAA $4FKE5U4 %OP248J3 &CIK8LID '448 (2488842 )8422248 *04LEL4 +044V44 ,00000C48 -000E .00000CC "
    "/01248G :0CC0CC ;0CC00C48 <248G842 =00V0V >8421248 ?EH12404 @EH1DLLE [E88888E \\0G8421 ]E22222E ^4AH _0000000V `842 "
    "{2448442 |4444444 }8442448 ~009LI 0EHJLPHE 14C4444E 2EH1248V 3V2421HE 426AIV22 5VGU11HE 668GUHHE 7V124888 8EHHEHHE "
    "9EHHF12C AEHHVHHH BUHHUHHU CEHGGGHE DUHHHHHU EVGGUGGV FVGGUGGG GEHGNHHF HHHHVHHH IE44444E J72222IC KHIKOKIH LGGGGGGV "
    "MHRLLHHH NHHPLJHH OEHHHHHE PUHHUGGG QEHHHLID RUHHUKIH SFGGE11U TV444444 UHHHHHHE VHHHHHA4 WHHHLLLA XHHA4AHH YHHHA444 "
    "ZV1248GV a00E1FHF bGGMPHHU c00EGGHE d11DJHHF e00EHVGE f698S888 g00FHHHF1E hGGMPHHH i40C444E j2062222IC kGGIKOKI "
    "lC44444E m00QLLLH n00MPHHH o00EHHHE p00UHHHUGG q00FHHHF11 r00MPGGG s00FGE1U t88S8896 u00HHHJD v00HHHA4 w00HHLLA "
    "x00HA4AH y00HHHHF1E z00V248V °CIIC «005AKA5 »00KA5AK …000000L €78U8U87 –000V ·000C ßEHHMHHM ı00C444E"
)
_GLYPH = {word[0]: word[1:] for word in _GLYPHS[3:].split(" ")} | {" ": "0"}
_MARKS = {"\u0300": "84", "\u0301": "24", "\u0302": "4A", "\u0303": "9M", "\u0308": "0A", "\u030a": "4A4", "\u030c": "A4"}
_CEDILLA = "\u0327"
_OTHERS = {"œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "’": "'", "‘": "'", "“": '"', "”": '"', "—": "–"}


def spelled(text: str) -> list[str]:
    """The letters of a text as they are drawn, each with its marks; `?` stands for what there is no glyph for."""
    letters: list[str] = []
    for letter in unicodedata.normalize("NFD", "".join(_OTHERS.get(letter, letter) for letter in text)):
        if unicodedata.combining(letter):
            if letters and (letter in _MARKS or letter == _CEDILLA):
                letters[-1] += letter
        else:
            letters.append(letter if letter in _GLYPH else "?")
    return letters


def dots(text: str) -> Iterator[tuple[int, int]]:
    """(column, row) of every dot of a text; the baseline is the bottom of row ABOVE + 6."""
    for at, letter in enumerate(spelled(text)):
        for row, bits in enumerate(_rows(letter)):
            for column in range(5):
                if bits >> (4 - column) & 1:
                    yield at * ADVANCE + column, row


def _rows(letter: str) -> list[int]:
    base, marks = letter[0], letter[1:]
    if base == "i" and any(mark in _MARKS for mark in marks):
        base = "ı"
    rows = [0] * ROWS
    glyph = [int(digit, 32) for digit in _GLYPH[base]]
    rows[ABOVE : ABOVE + len(glyph)] = glyph
    for mark in marks:
        if mark == _CEDILLA:
            rows[ABOVE + 7], rows[ABOVE + 8] = 4, 8
        else:
            drawn = [int(digit, 32) for digit in _MARKS[mark]]
            low = ABOVE - 1 if any(glyph[:2]) else ABOVE + 1  # one row stays free above the letter
            rows[low - len(drawn) : low] = drawn
    return rows
