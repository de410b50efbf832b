"""aiomqtt alone: the same payloads, published from memory through a sliding window. No terminal, no disk, nothing after it.

Started with broker's port, a file of payloads (pickle: list of bytes), and how many may be under way; says "ready", publishes
when told to by a line on standard input, says "done".
"""

import asyncio
import logging
import pickle
import sys

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

TOPIC = "jourdain/plage/poste/senml"


async def main():
    port, file, in_flight = sys.argv[1:]
    with open(file, "rb") as source:
        payloads = pickle.load(source)
    quiet = logging.getLogger("quiet")
    quiet.setLevel(logging.CRITICAL)
    protocol = aiomqtt.ProtocolVersion.V5
    async with aiomqtt.Client(
        "127.0.0.1", int(port), protocol=protocol, max_inflight_messages=int(in_flight), logger=quiet
    ) as client:
        window = asyncio.Semaphore(int(in_flight))
        client.pending_calls_threshold = 2 * int(in_flight)

        async def publish(payload):
            properties = Properties(PacketTypes.PUBLISH)
            properties.ContentType = "application/senml+cbor"
            await client.publish(TOPIC, payload, qos=1, properties=properties)
            window.release()

        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        async with asyncio.TaskGroup() as group:
            for payload in payloads:
                await window.acquire()
                group.create_task(publish(payload))
        print("done", flush=True)
        await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    asyncio.run(main())
