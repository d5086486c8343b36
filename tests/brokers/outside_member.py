"""A group member in a process of its own, for tests to kill.

`python -m tests.brokers.outside_member SERVERS GROUP TOPIC` prints "ready" when it has partitions, then every value it
reads. It never commits.
"""

import asyncio
import sys

from shared import broker
from shared.settings import Settings


async def main(servers: str, group: str, topic: str) -> None:
    settings = Settings(service="registry", database_url="none", kafka_bootstrap_servers=servers)
    client = broker.consumer(settings, group)
    client.subscribe([topic])
    await client.start()
    while not client.assignment():
        await client.getmany(timeout_ms=100)
    print("ready", flush=True)
    while True:
        for records in (await client.getmany(timeout_ms=100)).values():
            for record in records:
                print(record.value.decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
