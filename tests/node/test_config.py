"""The board's own files, its identity, and the launcher that survives what is wrong with them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

FAULTS = [
    ("os.remove('/f/config.json')", "config", "config.json is missing"),
    ("spoil('config.json', '{')", "config", "no JSON"),
    ("spoil('config.json', '[]')", "config", "no object"),
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


def test_the_launcher_tries_again_prints_the_fault_and_ends_by_ctrl_c(desk):
    out = desk(
        """
import firmware.node.app
runs = []
def app(root="/"):
    runs.append(now_ms())
    if len(runs) == 1:
        raise DeviceError("identity", "the chip is of another board")
    if len(runs) == 2:
        raise MemoryError
    raise KeyboardInterrupt
firmware.node.app.run = app
os.umount("/")                       # the host's files: from here on / is the board's
mount_point = RamDisk()
mount(mount_point, True)
with open("/f/config.json", "w") as file:
    json.dump(config(), file)
os.mkdir("/f/a")
with open("/f/a/modules", "w") as file:
    file.write("firmware.wire.errors\\nfirmware.node.app\\n")
os.umount("/f")
os.mount(os.VfsLfs2(mount_point.power, progsize=256), "/")
exec(LAUNCHER)
print([t - runs[0] for t in runs])
print(sys.path[0])
""".replace("exec(LAUNCHER)", f"exec({(ROOT / 'firmware/main.py').read_text()!r})")
    )
    assert "DeviceError" in out
    assert "the chip is of another board" in out
    assert "MemoryError" in out
    assert out.splitlines()[-2:] == ["[0, 10000, 20000]", "/a"]


def test_the_launcher_is_at_most_twenty_lines():
    assert len((ROOT / "firmware/main.py").read_text().splitlines()) <= 20


def test_the_firmware_says_the_version_of_the_project(mp):
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.M).group(1)
    assert mp("from firmware.node import VERSION; print(VERSION)").strip() == version
