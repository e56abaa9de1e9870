"""A member of a group by kafka-python: see confluent-kafka/member.py, whose lines it prints.

kafka_python_member.py BOOTSTRAP GROUP TOPIC
"""

import sys
import threading

from kafka import ConsumerRebalanceListener, KafkaConsumer


class Owned(ConsumerRebalanceListener):
    def __init__(self):
        self.partitions = set()

    def say(self):
        print("own", *sorted(self.partitions), flush=True)

    def on_partitions_assigned(self, assigned):
        self.partitions.update(it.partition for it in assigned)
        self.say()

    def on_partitions_revoked(self, revoked):
        self.partitions.difference_update(it.partition for it in revoked)
        self.say()

    def on_partitions_lost(self, lost):
        self.on_partitions_revoked(lost)


def main(bootstrap, group, topic):
    consumer = KafkaConsumer(
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
    asked = threading.Event()

    def wait():
        sys.stdin.read()
        asked.set()

    threading.Thread(target=wait, daemon=True).start()
    while not asked.is_set():
        polled = consumer.poll(timeout_ms=100)
        for records in polled.values():
            for record in records:
                print("record", record.partition, record.offset, record.value.decode(), flush=True)
        if polled:
            consumer.commit()
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
