"""Lets confluent-kafka (librdkafka) produce lines to a topic and print a topic's records.

roundtrip.py produce BOOTSTRAP TOPIC CODEC                < key<TAB>value lines
roundtrip.py consume BOOTSTRAP TOPIC PARTITIONS RECORDS   > partition<TAB>offset<TAB>key<TAB>value
"""

import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition, OFFSET_BEGINNING

DEADLINE_S = 60


def produce(bootstrap, topic, codec):
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "compression.type": codec,
            "linger.ms": 50,
        }
    )
    errors = []

    def acknowledged(error, _message):
        if error is not None:
            errors.append(error)

    for line in sys.stdin:
        key, value = line.rstrip("\n").split("\t", 1)
        headers = [("client", b"confluent-kafka")]
        producer.produce(topic, value, key, headers=headers, on_delivery=acknowledged)
        producer.poll(0)
    unsent = producer.flush(DEADLINE_S)
    if errors or unsent:
        sys.exit(f"{unsent} records unsent, errors: {errors[:3]}")


def consume(bootstrap, topic, partitions, records):
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            # The client demands a group id; with assign and no commits the broker never hears of it.
            "group.id": "unused",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 50,
            "enable.auto.offset.store": False,
        }
    )
    parts = range(int(partitions))
    consumer.assign([TopicPartition(topic, part, OFFSET_BEGINNING) for part in parts])
    seen = 0
    deadline = time.monotonic() + DEADLINE_S
    while seen < int(records):
        if time.monotonic() > deadline:
            sys.exit(f"{seen} of {records} records after {DEADLINE_S} s")
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        key, value = message.key().decode(), message.value().decode()
        print(message.partition(), message.offset(), key, value, sep="\t")
        seen += 1
    consumer.close()


if __name__ == "__main__":
    {"produce": produce, "consume": consume}[sys.argv[1]](*sys.argv[2:])
