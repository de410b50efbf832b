"""A broker that is away for long: memory stays flat, everything comes when it is back, what is new overtakes."""

import brokers
import pytest
from week import Narrow, Week

from tools.twin.broker import Embedded


@pytest.fixture
def away(tmp_path):
    """A small town whose broker is away."""
    (tmp_path / "broker").mkdir()
    broker = brokers.Mosquitto(tmp_path / "broker") if brokers.binary() else Embedded(tmp_path / "broker")
    proxy = Narrow(broker.plain_url if brokers.binary() else broker.url)
    (tmp_path / "gate").mkdir()
    made = Week(tmp_path / "gate", broker, proxy, boards=40)
    yield made
    made.close()
    proxy.close()
    broker.close()


def test_a_week_without_a_broker(away):
    away.away(hours=72)
    away.proxy.bytes_per_s = 250_000
    away.back(live_per_s=50)
    facts = away.facts
    assert facts["backlog"] == 40 * 72
    assert facts["missing"] == facts["came_again"] == 0
    assert facts["rss_most_mb"] < 1.1 * facts["rss_first_mb"]
    assert facts["alarms"]
    assert facts["alarm_most_s"] < facts["drain_s"] / 2, "alarms overtake"
    assert facts["rss_drain_mb"] < 1.1 * facts["rss_first_mb"]
