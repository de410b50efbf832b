"""The French catalogue: whole, in step with the sources, and read as gettext reads it."""

import gettext
import io
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import messages

from tools import errors, i18n
from tools.i18n import compile_mo, read_po


@pytest.fixture(scope="module")
def french():
    return read_po(i18n.catalogue("fr").read_text(encoding="utf-8"))


def test_no_text_lacks_its_french(french):
    wanted = messages.ours() | messages.of_click()
    assert len(wanted) > 250
    assert sorted(wanted - set(french), key=str) == [], "add them to jourdain.po, then python -P -m tools.i18n"
    assert [key for key, text in french.items() if not "".join(text)] == []


def test_a_translation_names_what_the_text_names(french):
    for key, text in french.items():
        for one, other in zip(key, text, strict=True) if isinstance(key, tuple) else [(key, text)]:
            if isinstance(key, tuple):
                assert set(messages.names(other)) <= set(messages.names("".join(key))), key
            else:
                assert messages.names(one) == messages.names(other), key


def test_the_compiled_catalogue_is_in_step(french):
    compiled = i18n.catalogue("fr").with_suffix(".mo").read_bytes()
    assert compiled == compile_mo(french), "run python -P -m tools.i18n"
    read = gettext.GNUTranslations(io.BytesIO(compiled))
    assert read.gettext("run the command again") == "relancer la commande"
    one, many = "{path}: {count} board, no fault", "{path}: {count} boards, no fault"
    assert [read.ngettext(one, many, n).split()[3] for n in (0, 1, 2)] == ["carte,", "carte,", "cartes,"]
    assert read.gettext("no such text") == "no such text"


def test_a_po_file():
    text = '# c\nmsgid "a"\n"b\\n"\nmsgstr "x"\n\nmsgid "one"\nmsgid_plural "many"\nmsgstr[0] "une"\nmsgstr[1] "des"\n'
    assert read_po(text) == {"ab\n": "x", ("one", "many"): ["une", "des"]}
    with pytest.raises(ValueError, match="line 2"):
        read_po('msgid "a"\nmsgstr x\n')
    with pytest.raises(ValueError, match="twice"):
        read_po('msgid "a"\nmsgstr "x"\n\nmsgid "a"\nmsgstr "y"\n')
    assert gettext.GNUTranslations(io.BytesIO(compile_mo({"": "", "a": ""}))).gettext("a") == "a"


def test_errors_speak_the_user_s_language(monkeypatch):
    from gateway.errors import HostError
    from gateway.yamlfile import Fault

    error = HostError("transfer", "the connection broke: x", "/dev/ttyACM0", "run the command again")
    monkeypatch.setenv("LANGUAGE", "fr")
    assert errors.lines(error).splitlines()[1:] == ["  où :    /dev/ttyACM0", "  suite : relancer la commande"]
    fault = Fault("boards.yaml", 3, 5, "{place}: must be at least {ge}", {"place": "boards.a.report_s", "ge": 10})
    assert errors.fault_line(fault) == "boards.yaml:3:5: boards.a.report_s: doit être au moins 10"
    monkeypatch.setenv("LANGUAGE", "en")
    assert errors.fault_line(fault) == str(fault) == "boards.yaml:3:5: boards.a.report_s: must be at least 10"
    assert errors.lines(error) == str(error)
