"""A member of a group by aiokafka: see confluent-kafka/member.py, whose lines it prints.

aiokafka_member.py BOOTSTRAP GROUP TOPIC
"""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener


class Owned(ConsumerRebalanceListener):
    def __init__(self):
        self.partitions = set()

    def say(self):
        print("own", *sorted(self.partitions), flush=True)

    async def on_partitions_assigned(self, assigned):
        self.partitions.update(it.partition for it in assigned)
        self.say()

    async def on_partitions_revoked(self, revoked):
        self.partitions.difference_update(it.partition for it in revoked)
        self.say()


async def main(bootstrap, group, topic):
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=3000,
        heartbeat_interval_ms=300,
        metadata_max_age_ms=1000,
        fetch_max_wait_ms=50,
    )
    consumer.subscribe([topic], listener=Owned())
    await consumer.start()
    asked = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    while not asked.done():
        polled = await consumer.getmany(timeout_ms=100)
        for records in polled.values():
            for record in records:
                print("record", record.partition, record.offset, record.value.decode(), flush=True)
        if polled:
            await consumer.commit()
    await consumer.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
