"""Secrets disappear whatever stands around them; ordinary text stays as it is."""

import base64
import random
import string
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from tools.redact import GONE, alias, redact, uncommented

# What may stand beside a secret: anything that is not of its own alphabet, which would make it another one.
BESIDE = st.text(alphabet=" \n\t.,;()[]{}<>?!é€", max_size=20)
AROUND = st.tuples(BESIDE, BESIDE)
QUOTES = st.sampled_from(
    ["{}", '"{}"', "'{}'", "key: {}", 'x = "{}"', '{{"a": "{}"}}', "# {}", "/etc/jourdain/{}.txt", "a/{}", "0002={}"]
)


@examples(40)
@given(secret=st.binary(min_size=16, max_size=64), around=AROUND, quoted=QUOTES, upper=st.booleans())
def test_a_key_in_hexadecimal_disappears(secret, around, quoted, upper):
    digits = secret.hex().upper() if upper else secret.hex()
    said = redact(around[0] + quoted.format(digits) + around[1])
    assert digits not in said
    assert digits[:32] not in said
    assert alias(digits.lower()) in said
    for sep in (":", "-"):
        assert secret.hex(sep) not in redact(around[0] + quoted.format(secret.hex(sep)) + around[1])
    array = "{" + ", ".join(f"0x{byte:02x}" for byte in secret) + "}"
    assert array[1:-1] not in redact(array)


@examples(40)
@given(secret=st.sampled_from([16, 17, 19, 20, 32, 64]).flatmap(lambda n: st.binary(min_size=n, max_size=n)), around=AROUND,
       quoted=QUOTES)  # fmt: skip
def test_a_key_in_base64_disappears(secret, around, quoted):
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(secret).decode()
        said = redact(around[0] + quoted.format(text) + around[1])
        assert text not in said
        assert text.rstrip("=")[:16] not in said.replace("/etc/jourdain/", "")


@pytest.mark.parametrize("size", [32, 43, 64])
def test_a_token_without_padding_disappears_where_it_looks_like_one(size):
    alphabet = string.ascii_letters + string.digits + "-_"
    tokens = ["".join(random.Random(seed).choices(alphabet, k=size)) for seed in range(300)]
    left = [token for token in tokens if token in redact(f"got {token}, wait")]
    assert len(left) <= {32: 18, 43: 6, 64: 1}[size]  # a guess by the looks: few that are made at random look like words


WORDS = st.text(alphabet=string.ascii_letters + string.digits + "!$%&*+,-.:;=?^_~/@#é", min_size=1, max_size=24)


@examples(40)
@given(user=WORDS, password=WORDS, scheme=st.sampled_from(["mqtt", "mqtts", "http", "amqp+tls"]), around=AROUND)
def test_a_password_in_an_address_disappears(user, password, scheme, around):
    address = f"{scheme}://{user}:{password}@broker.example:1883"
    said = redact(f'{around[0]} "{address}" {around[1]}')
    assert f"{user}:{password}@" not in said
    assert f"{scheme}://{GONE}@broker.example:1883" in said


KINDS = ["PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "EC PRIVATE KEY", "CERTIFICATE"]


@examples(40)
@given(kind=st.sampled_from(KINDS), body=st.binary(max_size=300), around=AROUND, whole=st.booleans(),
       newline=st.sampled_from(["\n", "\\n", "\r\n"]))  # fmt: skip
def test_a_pem_block_disappears_even_if_it_is_cut(kind, body, around, whole, newline):
    inside = base64.encodebytes(body).decode().replace("\n", newline)
    block = f"-----BEGIN {kind}-----{newline}{inside}" + (f"-----END {kind}-----" if whole else "")
    said = redact(around[0] + block + (around[1] if whole else ""))
    assert "BEGIN" not in said
    assert all(line not in said for line in inside.split(newline) if line)
    assert said.startswith(around[0])


VALUES = st.text(alphabet=string.ascii_letters + string.digits + "!$%&*+-.:?^_~/@#é ", min_size=1, max_size=24).filter(
    lambda text: text == text.strip()
)


FORMS = [
    'password = "{}"', "password: {}", "JOURDAIN_PASSWORD={}", '{{"passphrase": "{}"}}', "  mqtt_password: '{}'",
    '"secret": "{}", "board": "x"', "api-key = {}", "Authorization: {}", "app_key: {}", "--password={}", '--password "{}"',
    "owner_token: {}", "wifi_psk: {}",
]  # fmt: skip


@examples(40)
@given(value=VALUES, form=st.sampled_from(FORMS))
def test_what_is_called_a_secret_disappears(value, form):
    mark = f"7{value}7"  # so that it is nowhere else
    said = redact(form.format(mark))
    assert mark not in said
    assert GONE in said


@examples(40)
@given(words=st.lists(st.text(alphabet=string.printable, min_size=6, max_size=20), min_size=1, max_size=4), around=AROUND)
def test_what_is_known_to_be_secret_goes_from_every_place(words, around):
    said = redact(around[0] + "\x7f".join(words) + around[1], words)
    assert not any(word in said.replace(GONE, "\x00") for word in words)


ORDINARY = """\
2026-11-26 00:04:41,123 INFO gateway.upstream: connected to mqtts://broker.example:8883 as poste
boards.yaml:12:5: boards.bin-quai.report_s: must be at least 10, not 5
    uid: "e6614c311b7e6a01"        kids: ["0002", "00000ff1"]   position: [48.64905, -2.82402]
/var/lib/jourdain/gateway-store/store.db-wal and /dev/serial/by-id/usb-MicroPython_Board_in_FS_mode_e6614c311b7e6a01-if00
password_file = "/etc/jourdain/broker-password"
ModuleNotFoundError: No module named 'serial.tools.list_ports_windows'
session_expiry_s = 86400; commit_window_ms=0; unproven_per_min = 240
key id 0002, counter 4711, the tag is wrong; keys.json: 15 keys: good
test_a_certificate_that_ends_soon_is_a_warning_and_one_that_ended_a_failure = 7
SOME_VERY_LONG_NAME_OF_A_SETTING="value" and some_very_long_name_of_another=value
"versions": {"jourdain": "0.1.0", "micropython": "1.28.0", "cryptography": "46.0.1"}
Raspberry Pi 2e8a:0005 E6614C311B7E6A01; Espressif 303a:1001 34:85:18:AA:BB:CC
BuildCamelCaseNamesLikeInOtherLanguages2 pydantic_core._pydantic_core.ValidationError
"""


@pytest.mark.parametrize("line", ORDINARY.splitlines())
def test_ordinary_text_stays(line):
    assert redact(line) == line


TALK = ["the", "board", "no", "port", "12:04", "/dev/ttyACM0", "bin-quai", "e6614c311b7e6a01", "\n", "=", ":", "42", "0x2e8a"]


@examples(40)
@given(st.lists(st.sampled_from(TALK), max_size=40))
def test_sentences_stay(words):
    assert redact(" ".join(words)) == " ".join(words)


def test_the_owner_token_of_a_label_goes():
    label = "LW:D0:70B3D57ED0000002:70B3D57ED0000001:00010002:OTOWN7:SBIN-QUAI"
    assert redact(label) == label.replace("TOWN7", GONE)


PIECES = ["a", "aB3", "password", "0x", "ab:", "x://", "http://a@", "-----BEGIN A-----", '-----BEGIN A-----"', "/a", "'"]


@pytest.mark.parametrize("piece", PIECES)
def test_twice_the_text_costs_about_twice_the_time(piece):
    """Nobody who writes into a log makes it hang: what is not linear would take four times."""

    def cost_s(count):
        text = piece * (count // len(piece))
        times = []
        for _ in range(3):
            began = time.process_time()
            redact(text)
            times.append(time.process_time() - began)
        return min(times) + 0.002

    assert cost_s(30_000) / cost_s(15_000) < 3


def test_equal_numbers_keep_an_equal_name():
    one, other = "ab" * 16, "cd" * 32
    said = redact(f"{one} {other} {one.upper()} {bytes.fromhex(one).hex(':')}").split(") (")
    assert said[0].strip("(") == said[2] == said[3].strip(")")
    assert said[0].strip("(") != said[1]


@pytest.mark.parametrize(("line", "left"), [
    ("# all of it", ""), ("a = 1 # b", "a = 1"), ('a = "x # y" # z', 'a = "x # y"'), ('k = ["a"]# b', 'k = ["a"]'),
    ("title: Place de l'Eglise # now", "title: Place de l'Eglise"), ("url: http://x/#frag", "url: http://x/#frag"),
    ("a: 'it # is' #x", "a: 'it # is'"), ('a = "\\" # b"', 'a = "\\" # b"'),
])  # fmt: skip
def test_comments_go_and_lines_stay(line, left):
    assert uncommented(f"x\n{line}\ny") == f"x\n{left}\ny"
