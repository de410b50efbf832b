"""The board's own files, and its identity."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

FAULTS = [
    ("os.remove('/f/config-0'); os.remove('/f/config-1')", "config", "config is missing"),
    ("spoil('config-0', '{}'); spoil('config-1', '{}')", "config", "config is missing or damaged"),
    ("put('config-1', bytes(3) + b'\\x03{')", "config", "no JSON"),
    ("put('config-1', bytes(3) + b'\\x03[]')", "config", "no object"),
    ("flash(config(v=2))", "config", "version 1"),
    ("flash(config(uid=None))", "config", '"uid"'),
    ("flash(config(report_s=0))", "config", "report_s"),
    ("flash(config(report_s='900'))", "config", "report_s"),
    ("flash(config(service=None))", "config", '"service"'),
    ("flash(config(link='pigeon'))", "config", '"link"'),
    ("flash(config(kid='0002'))", "config", "kid"),
    ("os.remove('/f/secret.json')", "config", "secret.json is missing"),
    ("spoil('secret.json', json.dumps({'kid': '0001', 'uid': UID, 'secret': '00'}))", "config", "secret"),
    ("spoil('secret.json', json.dumps({'kid': '0001', 'uid': UID, 'secret': 'no hex'}))", "config", "secret"),
    ("flash(config(link='radio'))", "config", '"radio"'),
    ("flash(radio_config(sf=13))", "config", "sf must be 5 to 12"),
    ("flash(radio_config(freq_hz=868650000))", "config", "no sub-band"),
    ("flash(config(link='radio', radio=RADIO, plan=dict(PLAN, band='us915')))", "config", "us915"),
    ("flash(config(link='radio', radio={'chip': 'sx9999'}, plan=PLAN))", "config", "no driver"),
    ("flash(config(uid='ffffffff'))", "identity", "the chip"),
    ("flash(config(), secret_uid='ffffffff')", "identity", "secret.json"),
]


@pytest.mark.produces("config", "identity")
def test_each_fault_of_the_files_has_a_name_and_says_what_to_do(desk):
    cases = "\n".join(f"case({change!r})" for change, _, _ in FAULTS)
    out = desk(
        """
def spoil(name, text):
    with open("/f/" + name, "w") as file:
        file.write(text)
disk = RamDisk()
def case(change):
    mount(disk, True)
    flash(config())
    exec(change)
    host = Host()
    try:
        start("/f/", host)
    except DeviceError as error:
        assert host.of(1) == []
        print(error.name, error.detail)
    else:
        print("accepted", change)
"""
        + cases
    )
    lines = out.splitlines()
    assert len(lines) == len(FAULTS)
    for line, (change, name, part) in zip(lines, FAULTS, strict=True):
        assert line.startswith(name + " "), (change, line)
        assert part in line, (change, line)


@pytest.mark.produces("config_older")
def test_a_damaged_configuration_gives_way_to_the_one_before_and_the_board_says_so(desk):
    out = desk(
        """
Service.script = lambda now: {3: 1}
d = Desk(config(report_s=600))
put("config-0", bytes((0, 0, 0, 3)) + json.dumps(config(report_s=300)).encode())
d.reboot(); d.run(901)
print(len(d.host.of(1)), [l for l in d.host.lines if l.startswith("error")])
with open("/f/config-0", "r+b") as file:
    file.seek(20); file.write(b"X")
d.reboot(); d.run(901)
print(len(d.host.of(1)), [opened(m[2])[0].get(-7) for m in d.host.of(1)][-2:], d.host.lines[0])
"""
    )
    first, then = out.splitlines()
    assert first == "4 []"
    assert then.startswith("6 [32, None] error config_older config:")


def test_settings_lie_over_the_configuration_and_bad_ones_are_left_out(desk):
    out = desk(
        """
from firmware.node import config as configuration, settings
disk = RamDisk(); mount(disk, True); flash(config(settings={"a": 1, "b": 2}))
said = []
def seen():
    found = configuration.load("/f/", lambda error: said.append(error.name))
    return found["report_s"], sorted(found["settings"].items()), found["kid"]
print(seen())
for changed in ({"report_s": 60, "settings": {"b": 3}, "kid": "0002", "done": [7, 0]}, {"report_s": 0, "settings": {"b": 4}}):
    settings.save("/f/", changed)
    print(seen(), settings.load("/f/") == (changed, False), said)
with open("/f/state/settings-1", "r+b") as file:
    file.write(b"X")
print(seen(), said)
disk.full = True
try:
    settings.save("/f/", {})
except DeviceError as error:
    print(error.name)
disk.full = False
print(seen()[0])
"""
    )
    assert out.splitlines() == [
        "(900, [('a', 1), ('b', 2)], '0001')",
        "(60, [('a', 1), ('b', 3)], '0001') True []",
        "(900, [('a', 1), ('b', 2)], '0001') True ['config']",
        "(60, [('a', 1), ('b', 3)], '0001') ['config', 'config_older']",
        "store",
        "60",
    ]


def test_a_service_that_cannot_be_built_is_reported_by_the_node_itself(desk):
    out = desk(
        """
for changes in ({"service": "bagpipe"}, {"sensors": {"distance": {"driver": "ruler"}}}):
    d = Desk(config(**changes))
    d.run(1000)
    print([sorted(opened(m[2])[0].items()) for m in d.host.of(1)])
    assert any(l.startswith("error config") for l in d.host.lines)
"""
    )
    assert "(-7, 30)" in out.splitlines()[0]
    assert "(1, 4028)" in out.splitlines()[0]
    assert out.splitlines()[0] == out.splitlines()[1]
    assert out.splitlines()[0].count("(-7, 30)") == 2


def test_the_launcher_is_at_most_twenty_lines():
    assert len((ROOT / "firmware/main.py").read_text().splitlines()) <= 20


def test_the_firmware_says_the_version_of_the_project(mp):
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.M).group(1)
    assert mp("from firmware.node import VERSION; print(VERSION)").strip() == version
