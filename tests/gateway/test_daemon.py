"""The real daemon as a process, with a board on a pseudo terminal and a real broker."""

import cbor2
import gatedesk as desk
import pytest

BIN = {1: 3712, 2: 214, 3: 73, 4: 412}


@pytest.fixture
def files(tmp_path, bridge, broker):
    return desk.Files(tmp_path, {"bridge": bridge.path}, broker).write()


def test_a_reading_goes_from_the_line_to_the_broker(files, bridge, start, listener):
    daemon = start(files)
    desk.until(lambda: bridge.hellos)
    bridge.hears(desk.frame(1, 1, BIN))
    desk.until(lambda: bridge.handled == [1])
    desk.until(lambda: listener.messages)
    message = listener.messages[0]
    assert str(message.topic) == "jourdain/plage/poste/senml"
    assert message.properties.ContentType == "application/senml+cbor"
    assert message.qos == 1
    records = cbor2.loads(message.payload)
    assert records[0][-2] == "urn:dev:org:32473-plage-bin-1_"
    assert {r[0]: r.get(2) for r in records} == {
        "battery": 3.712, "temperature": 21.4, "fill": 0.73, "distance": 0.412, "rssi": -131, "snr": 5.5, "frame": None
    }  # fmt: skip
    assert records[-1][8] == bytes.fromhex("000100000001")
    assert daemon.stop() == 0
    (stored,) = daemon.said("stored")
    assert stored["values"] == {"battery": 3.712, "temperature": 21.4, "fill": 0.73, "distance": 0.412}
    assert (stored["board"], stored["kid"], stored["piv"], stored["how"]) == ("bin-1", "0001", 1, "direct")
    (published,) = daemon.said("published")
    assert published["kids"] == {"0001": 1}
    found, counters = desk.counts(files)
    assert counters == {}
    assert found["0001"] == (1, 0, 1, 1, 0, 1, 1, 0, 0)
