"""A Pico from its empty flash to its first sealed frame by the one command that a technician types, and what comes after.

Figures of the board's clock are what the command would take beside a real one: the processor's time is a lower bound (no
instruction waits for the flash's cache), the flash's own is that of its data sheet, USB is as fast as the board takes it.
"""

import socket

import pytest

from firmware.wire.quantities import DISTANCE, FILL

pytestmark = pytest.mark.timeout(900)

BOARD = "bin-desk"
BOOT_S, COMMAND_S = 60, 400


@pytest.fixture(scope="module")
def shop(uf2, tmp_path_factory):
    """The workshop, its desk with an empty Pico in BOOTSEL mode."""
    from workshop import Workshop

    made = Workshop(tmp_path_factory.mktemp("workshop"))
    with made.desk as desk:
        made.prepare(uf2)
        desk.wait(desk.drive.exists, BOOT_S)
        yield made


@pytest.fixture(scope="module")
def first(shop):
    """What `jourdain flash` said of the empty board."""
    said = shop.flash("--uplink", "60")
    print("fresh:", shop.desk.cost())
    assert said.code == 0, said.err
    return said


def test_an_empty_pico_comes_into_service_by_one_command(shop, first):
    from workshop import UID

    found = first.document
    assert [what for _, what in shop.desk.figures] == ["plugged in", "drive", "boot"]
    assert (found["result"], found["uid"]) == ("applied", UID)
    assert {item["item"] for item in found["items"] if item["result"] == "applied"} >= {
        "micropython", "counter", "configuration", "key", "application"
    }  # fmt: skip
    assert all(check["passed"] for check in found["selftest"])
    (piv, payload), *_ = shop.opened()
    assert (piv, found["uplink"]["piv"]) == (1, 1)
    assert {FILL, DISTANCE} <= set(payload)


def test_power_that_fails_while_files_are_renamed_costs_nothing_and_the_command_again_finds_all_right(shop, first):
    from image import names

    desk = shop.desk
    shop.say(report_s=600)
    process = shop.start("flash", BOARD, "--port", desk.port, "--json")
    half = {"swap", "config-1.new"}
    desk.wait(lambda: (half <= (there := names(desk.pico.flash)) and "config-0.new" not in there) or process.poll(), COMMAND_S)
    desk.pull()
    _out, err = process.communicate(timeout=BOOT_S)
    assert process.returncode == 8, err
    assert half <= names(desk.pico.flash)
    desk.plug()
    desk.wait(lambda: names(desk.pico.flash) and not half & names(desk.pico.flash), COMMAND_S)  # the ladder has put it right
    sent, pages = desk.bytes_in, desk.flash_time.pages
    again = shop.flash()
    assert again.code == 0, again.err
    assert (again.document["result"], again.document["files"]["written"]) == ("already so", [])
    assert (desk.bytes_in - sent) * 4 < sent
    assert (desk.flash_time.pages - pages) * 10 < pages
    assert again.board_s < first.board_s
    assert shop.ask("status").document["report_s"] == 600


def test_a_board_in_production_is_reached_by_its_console_alone(shop, first):
    desk = shop.desk
    said = shop.ask("production", "on")
    assert said.code == 0, said.err
    heard = len(desk.pico.text)
    with socket.create_connection(("127.0.0.1", desk.number), 10) as client:
        client.sendall(b"\r\x03\x03\x01print(6*7)\x04\x02")
        answered = shop.desk.now_s + 3
        desk.wait(lambda: desk.now_s > answered, BOOT_S)
    assert ">" not in desk.pico.text[heard:]
    status = shop.ask("status")
    assert status.code == 0, status.err
    assert (status.document["production"], status.document["slot"]) == (True, "a")
    again = shop.flash()
    assert again.code == 0, again.err
    assert again.document["result"] == "already so"
    assert shop.ask("status").document["production"] is True
    numbers = [piv for piv, _ in shop.opened()]
    assert sorted(set(numbers)) == numbers  # whatever restarted in between, no counter was used twice


def test_a_cable_pulled_while_it_is_written_costs_nothing_but_the_command_again(uf2, tmp_path):
    from workshop import Workshop

    shop = Workshop(tmp_path, uf2)
    with shop.desk as desk:
        shop.prepare(uf2)
        desk.wait(lambda: desk.there, BOOT_S)
        process = shop.start("flash", BOARD, "--port", desk.port, "--json")
        desk.wait(lambda: desk.flash_time.pages > 150 or process.poll(), COMMAND_S)
        desk.pull()
        out, err = process.communicate(timeout=BOOT_S)
        assert process.returncode == 8, err
        assert '"transfer"' in out
        desk.plug()
        desk.wait(lambda: desk.there, BOOT_S)
        again = shop.flash("--uplink", "60")
        assert again.code == 0, again.err
        assert again.document["result"] == "applied"
        assert shop.opened()[0][0] == 1
