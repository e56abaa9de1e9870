"""Load that goes on while its broker dies, freezes and comes back, one line for each thing it sees.

load.py create BOOTSTRAP TOPIC PARTITIONS
load.py produce BOOTSTRAP TOPIC PARTITIONS PRODUCERS RATE TIMEOUT_MS
    PRODUCERS idempotent producers with acks=all send to every partition in turn, RATE records a second
    together, until standard input ends; then all that is left is awaited.
    > acked PRODUCER PARTITION SEQUENCE OFFSET      OFFSET is -1 where the broker did not tell it
    > sent PRODUCER PARTITION COUNT                 at the end
load.py read BOOTSTRAP TOPIC PARTITIONS
    Reads everything from offset 0 on, until standard input ends.
    > read PARTITION OFFSET PRODUCER SEQUENCE
load.py sequential BOOTSTRAP TOPIC PARTITIONS RECORDS
    Produces records one by one, each when the one before it is acknowledged.
load.py fill BOOTSTRAP TOPIC PARTITIONS BYTES
    Produces BYTES of random values.

A delivery that fails and an error that is fatal to a client end the program with 1.
"""

import itertools
import os
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition, OFFSET_BEGINNING
from confluent_kafka.admin import AdminClient, NewTopic

# What one producer has unacknowledged at most: enough for several requests in flight.
OUTSTANDING_MAX = 400
# A broker that stays away longer than this is a failure of its own.
DELIVERY_DEADLINE_S = 240
# A broker that is away refuses connections, as it must: come back soon, and no line for each.
STAY = {"reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 100, "log_level": 0}
# Every so often a run of records for one partition that is written past the others' journal.
BULK_EVERY = 500
BULK_RECORDS = 12
BULK_VALUE_BYTES = 16 * 1024
CODECS = ["none", "lz4", "none", "zstd"]


def say(*words):
    # One write for each line: two threads never share one.
    sys.stdout.write(" ".join(map(str, words)) + "\n")


def fail(why):
    sys.stdout.flush()
    sys.stderr.write(f"{why}\n")
    os._exit(1)


def on_error(error):
    if error.fatal():
        fail(f"fatal to the client: {error}")


def ended():
    """An event that is set when standard input ends."""
    event = threading.Event()

    def wait():
        sys.stdin.read()
        event.set()

    threading.Thread(target=wait, daemon=True).start()
    return event


class Sequenced:
    """One idempotent producer, whose records count up on each partition."""

    def __init__(self, number, bootstrap, topic, partitions, timeout_ms):
        self.number, self.topic = number, topic
        self.sent = [0] * partitions
        self.outstanding = 0
        self.client = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 2,
                "compression.type": CODECS[number % len(CODECS)],
                "message.timeout.ms": DELIVERY_DEADLINE_S * 1000,
                "request.timeout.ms": timeout_ms,
                "socket.timeout.ms": timeout_ms,
                "retry.backoff.ms": 20,
                "error_cb": on_error,
                **STAY,
            }
        )

    def send(self, partition, padding):
        sequence = self.sent[partition]
        self.sent[partition] += 1
        self.outstanding += 1

        def acknowledged(error, message):
            self.outstanding -= 1
            if error is not None:
                fail(f"producer {self.number} partition {partition} record {sequence}: {error}")
            offset = message.offset()
            known = offset if offset is not None and offset >= 0 else -1
            say("acked", self.number, partition, sequence, known)

        value = f"{self.number} {sequence} ".encode() + padding
        self.client.produce(self.topic, value, partition=partition, on_delivery=acknowledged)


def create(bootstrap, topic, partitions):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = NewTopic(topic, num_partitions=int(partitions), replication_factor=1)
    for created in admin.create_topics([new]).values():
        created.result(DELIVERY_DEADLINE_S)


def produce(bootstrap, topic, partitions, producers, rate, timeout_ms):
    partitions, rate = int(partitions), int(rate)
    stop = ended()
    all_producers = [
        Sequenced(number, bootstrap, topic, partitions, int(timeout_ms))
        for number in range(int(producers))
    ]
    padding = [os.urandom(size) for size in (10, 100, 300, 1000, 40)]
    bulk = os.urandom(BULK_VALUE_BYTES)
    start = time.monotonic()
    sent = 0
    for turn in itertools.count():
        if stop.is_set():
            break
        producer = all_producers[turn % len(all_producers)]
        partition = (turn // len(all_producers)) % partitions
        if turn % BULK_EVERY == BULK_EVERY - 1:
            for _ in range(BULK_RECORDS):
                producer.send(partition, bulk)
                sent += 1
        producer.send(partition, padding[turn % len(padding)])
        sent += 1
        producer.client.poll(0)
        while producer.outstanding >= OUTSTANDING_MAX and not stop.is_set():
            # The others' acknowledgements are due as well.
            for other in all_producers:
                other.client.poll(0.002)
            sys.stdout.flush()
        if turn % 64 == 0:
            sys.stdout.flush()
            early = sent / rate - (time.monotonic() - start)
            if early > 0:
                time.sleep(early)
            elif early < -1:
                # Away for long: what was missed is not made up for.
                start = time.monotonic() - sent / rate
    until = time.monotonic() + DELIVERY_DEADLINE_S
    for producer in all_producers:
        if producer.client.flush(max(0, until - time.monotonic())):
            fail(f"producer {producer.number}: {producer.outstanding} records unacknowledged")
        for partition, count in enumerate(producer.sent):
            say("sent", producer.number, partition, count)
    sys.stdout.flush()


def read(bootstrap, topic, partitions):
    stop = ended()
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            # The client demands a group id; with assign and no commits the broker never hears of it.
            "group.id": "unused",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            # A position that the broker no longer has is a record that it has lost.
            "auto.offset.reset": "error",
            "check.crcs": True,
            "fetch.wait.max.ms": 50,
            "fetch.error.backoff.ms": 20,
            "error_cb": on_error,
            **STAY,
        }
    )
    parts = range(int(partitions))
    consumer.assign([TopicPartition(topic, part, OFFSET_BEGINNING) for part in parts])
    while not stop.is_set():
        for message in consumer.consume(1000, 0.05):
            if message.error():
                if message.error().retriable():
                    continue
                fail(f"partition {message.partition()}: {message.error()}")
            producer, sequence, _ = message.value().split(b" ", 2)
            say("read", message.partition(), message.offset(), producer.decode(), sequence.decode())
        sys.stdout.flush()


def sequential(bootstrap, topic, partitions, records):
    errors = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 0})
    for number in range(int(records)):
        producer.produce(
            topic,
            f"0 {number} one of many",
            partition=number % int(partitions),
            on_delivery=lambda error, _message: errors.append(error) if error else None,
        )
        if producer.flush(DELIVERY_DEADLINE_S) or errors:
            fail(f"record {number}: {errors}")


def fill(bootstrap, topic, partitions, size_bytes):
    partitions, size_bytes = int(partitions), int(size_bytes)
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 20,
            "batch.size": 1 << 20,
            "message.max.bytes": 1 << 20,
            "queue.buffering.max.kbytes": 256 << 10,
            "error_cb": on_error,
        }
    )

    def acknowledged(error, _message):
        if error is not None:
            fail(f"fill: {error}")

    values = [os.urandom(128 * 1024) for _ in range(64)]
    for number in range(size_bytes // len(values[0])):
        value = values[number % len(values)]
        while True:
            try:
                producer.produce(topic, value, partition=number % partitions, on_delivery=acknowledged)
                break
            except BufferError:
                producer.poll(0.05)
        producer.poll(0)
    if producer.flush(DELIVERY_DEADLINE_S):
        fail("fill: records are unacknowledged")


if __name__ == "__main__":
    try:
        commands = [create, produce, read, sequential, fill]
        {command.__name__: command for command in commands}[sys.argv[1]](*sys.argv[2:])
    except (KafkaException, BrokenPipeError) as error:
        fail(error)
