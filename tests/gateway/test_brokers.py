"""The tests' own Mosquitto: it asks for certificates, keeps what it should, and can be ended in every way."""

import socket
import ssl

import brokers
import gatedesk as desk
import paho.mqtt.client as paho
import pytest


@pytest.fixture
def reader(mosquitto):
    found = brokers.Subscriber(mosquitto)
    yield found
    found.close()


def publish(broker, payload, **more):
    """One message over TLS with the client's certificate; returns when it is acknowledged."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.tls_set_context(brokers.tls_context(broker.authority, broker.client_files))
    client.connect("localhost", broker.port)
    client.loop_start()
    client.publish("jourdain/a", payload, qos=1, **more).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def test_it_carries_what_comes_with_a_certificate(mosquitto, reader):
    publish(mosquitto, b"1")
    desk.until(lambda: [m.payload for m in reader.messages] == [b"1"])


def test_it_takes_nobody_without_a_certificate(mosquitto):
    context = ssl.create_default_context(cafile=mosquitto.authority.file)
    with (
        pytest.raises(ssl.SSLError),
        socket.create_connection(("127.0.0.1", mosquitto.port), 5) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as wrapped,
    ):
        wrapped.recv(1)


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed after it saved"])
def test_sessions_and_messages_outlive_a_restart(mosquitto, reader, kill):
    reader.close()
    publish(mosquitto, b"1")
    mosquitto.save()
    mosquitto.restart(kill=kill)
    again = brokers.Subscriber(mosquitto)
    desk.until(lambda: [m.payload for m in again.messages] == [b"1"])
    again.close()


def test_a_reader_comes_back_by_itself(mosquitto, reader):
    mosquitto.save()
    mosquitto.restart(kill=True)
    publish(mosquitto, b"1")
    desk.until(lambda: [m.payload for m in reader.messages] == [b"1"])
    assert reader.connects == 2


def test_a_paused_one_says_nothing_and_forgets_nothing(mosquitto, reader):
    mosquitto.pause()
    with socket.create_connection(("127.0.0.1", mosquitto.plain_port), 5) as sock:
        sock.settimeout(0.2)
        sock.sendall(b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00")
        with pytest.raises(TimeoutError):
            sock.recv(1)
        mosquitto.resume()
        sock.settimeout(10)
        assert sock.recv(1) == b"\x20"
    publish(mosquitto, b"1")
    desk.until(lambda: len(reader.messages) == 1)
