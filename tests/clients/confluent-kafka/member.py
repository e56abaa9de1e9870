"""A member of a group by confluent-kafka (librdkafka).

member.py BOOTSTRAP GROUP TOPIC [KEY=VALUE...]

Prints `own 0 2` whenever it owns other partitions than before, all it then owns, and
`record PARTITION OFFSET VALUE` for each record; commits what it has printed. Leaves when its standard
input ends.
"""

import sys
import threading

from confluent_kafka import Consumer, KafkaException


def main(bootstrap, group, topic, *pairs):
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
            **dict(pair.split("=", 1) for pair in pairs),
        }
    )
    owned = set()

    def say_owned():
        print("own", *sorted(owned), flush=True)

    def assigned(_consumer, partitions):
        owned.update(it.partition for it in partitions)
        say_owned()

    def revoked(_consumer, partitions):
        owned.difference_update(it.partition for it in partitions)
        say_owned()

    consumer.subscribe([topic], on_assign=assigned, on_revoke=revoked, on_lost=revoked)
    asked = threading.Event()

    def wait():
        sys.stdin.read()
        asked.set()

    threading.Thread(target=wait, daemon=True).start()
    while not asked.is_set():
        message = consumer.poll(0.1)
        if message is None:
            continue
        if message.error():
            if not message.error().retriable():
                raise KafkaException(message.error())
            continue
        print("record", message.partition(), message.offset(), message.value().decode(), flush=True)
        consumer.commit(message, asynchronous=False)
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
