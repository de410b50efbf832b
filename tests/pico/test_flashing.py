"""A Pico from its empty flash to its first sealed frame by the command that a technician types, and what that costs.

Figures of the board's clock are what the command would take beside a real one: the processor's time is a lower bound (no
instruction waits for the flash's cache), the flash's own is that of its data sheet, USB is as fast as the board takes it.
"""

import shutil

import pytest

from firmware.wire import cbor, hdlc, link
from firmware.wire.frame import parse
from firmware.wire.quantities import DISTANCE, FILL
from firmware.wire.seal import derive, unseal
from tools.keys import secrets

pytestmark = pytest.mark.timeout(700)

BOOT_S = 60


def sealed(pico):
    """The frames that the board has sent on its cable."""
    from first_frame import messages

    said = [link.parse(body) for _, proto, body in messages(pico) if proto == hdlc.PROTO_MESSAGE]
    return [parse(message[2]) for message in said if message[0] == link.HEARD]


def test_an_empty_pico_comes_into_service(uf2, tmp_path, monkeypatch):
    from workshop import BOARD, KID, PASSPHRASE, UID, Workshop

    shop = Workshop(tmp_path)
    with shop.desk as desk:
        assert shop.run("keys", "new", BOARD).code == 0
        desk.wait(desk.drive.exists, BOOT_S)
        shutil.copyfile(uf2, desk.drive / "micropython.uf2")
        desk.wait(lambda: desk.there, BOOT_S)
        said = shop.flash("--json", "--uplink", "60")
        assert said.code == 0, said.err
        frames = sealed(desk.pico)
        print(desk.cost())
    found = said.document
    assert (found["result"], found["uid"]) == ("applied", UID)
    assert all(check["passed"] for check in found["selftest"])
    assert found["hello"]["caps"] == ["node"]
    monkeypatch.setenv("JOURDAIN_PASSPHRASE", PASSPHRASE)
    secret = bytes.fromhex(secrets.read(tmp_path / "secrets.json")[KID]["secret"])
    payload = cbor.loads(unseal(derive(secret, bytes.fromhex(KID)), frames[0]))
    assert frames[0].piv == 1
    assert {FILL, DISTANCE} <= set(payload)
    assert found["uplink"]["piv"] in [frame.piv for frame in frames]
