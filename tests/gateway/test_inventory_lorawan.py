"""`lorawan:` and `contact:` in boards.yaml: what a label says of a board, and how each wrong identity is refused."""

from pathlib import Path

import pytest

from gateway import inventory

FLEET = """\
sites:
  ville: {plan: town, contact: "Town hall, 02 96 00 00 00"}
plans:
  town: {freq_hz: 868100000, sf: 9}
gateways:
  quai: {site: ville, position: [48.6, -2.8]}
boards:
  bridge:
    {type: pico, role: bridge, gateway: quai, position: [48.6, -2.8], radio: ra-01sh}
  bin-1:
    {type: pico, service: bin, kids: ["0001"], position: [48.601, -2.801], settings: {empty_mm: 1200, full_mm: 250},
     sensors: {distance: a02yyuw}, radio: ra-01sh,
     lorawan: {dev_eui: "70B3D57ED0000A01", join_eui: "1E04567890123456", profile: "00010002", owner: a1B2}}
  bin-2:
    {type: pico, service: bin, kids: ["0002"], position: [48.601, -2.801], settings: {empty_mm: 1200, full_mm: 250},
     sensors: {distance: a02yyuw}, radio: ra-01sh,
     lorawan: {dev_eui: "70B3D57ED0000A02", join_eui: "1E04567890123456", profile: "00010002"}}
"""


def test_an_identity_and_a_contact():
    fleet = inventory.loads(FLEET)
    assert fleet.boards["bin-1"].lorawan == inventory.Lorawan("70b3d57ed0000a01", "1e04567890123456", "00010002", "A1B2")
    assert fleet.boards["bin-2"].lorawan.owner is None
    assert fleet.boards["bridge"].lorawan is None
    assert fleet.sites["ville"].contact == "Town hall, 02 96 00 00 00"
    town = inventory.load(Path(__file__).resolve().parent.parent.parent / "boards.yaml")
    assert all(site.contact == "" for site in town.sites.values())


@pytest.mark.produces("bad_inventory")
@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ('"70B3D57ED0000A02"', "1E04567890123456", "17:25", 'as the number infinity: put it in quotes, "1E04567890123456"'),
        ('"70B3D57ED0000A02"', "0004300000000530", "17:25", 'as the number 4300000000530: put it in quotes, "0004300000000530"'),
        ('"70B3D57ED0000A02"', '"70B3D57ED0000A0"', "17:25", 'must be 16 hexadecimal digits, such as "70b3d57ed0000001"'),
        ('"70B3D57ED0000A02"', '"70B3D57ED0000AOO"', "17:25", "must be 16 hexadecimal digits"),
        ('"70B3D57ED0000A02"', '"70-B3-D5-7E-D0-00-0A-02"', "17:25", "must be 16 hexadecimal digits"),
        ('"70B3D57ED0000A02"', '"70b3d57ed0000a01"', "17:25", "DevEUI 70b3d57ed0000a01 is already that of bin-1"),
        ('dev_eui: "70B3D57ED0000A02", ', "", "17:6", "needs 'dev_eui'"),
        ('dev_eui: "70B3D57ED0000A02"', 'deveui: "70B3D57ED0000A02"', "17:16", "unknown key 'deveui' (did you mean 'dev_eui'?)"),
        ('{dev_eui: "70B3D57ED0000A02"', '{app_key: "00", dev_eui: "70B3D57ED0000A02"', "17:16", "unknown key 'app_key'"),
        ("owner: a1B2", "owner: a:b", "13:103", "must be 1 to 40 letters and digits"),
        ("owner: a1B2", "owner: 12", "13:103", 'put it in quotes, "12"'),
        ('profile: "00010002"}', "profile: 00010002}", "17:84", 'as the number 10002: put it in quotes, "00010002"'),
        ('A01", join_eui: "1E04567890123456"', 'A01", join_eui: 1E04567890123456', "13:55", "infinity: put it in quotes"),
        ('contact: "Town hall, 02 96 00 00 00"', "contact: 0296000000", "2:32", 'put it in quotes, "0296000000"'),
    ],
)
def test_a_wrong_identity_is_named_with_its_place(old, new, where, what):
    assert FLEET.count(old) == 1
    with pytest.raises(inventory.InventoryError) as caught:
        inventory.loads(FLEET.replace(old, new))
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"boards.yaml:{where}:")
    assert what in line

