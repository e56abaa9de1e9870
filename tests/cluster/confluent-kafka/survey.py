"""What a client sees of a broker, and a client that gives it something to see.

survey.py make BOOTSTRAP
    Creates topics of several kinds and configurations; deletes one, creates another one anew. A static
    member joins a group, and stays.
survey.py configure BOOTSTRAP
    Changes configurations of topics that are there.
survey.py write BOOTSTRAP ROUND
    Writes to all of them, with all codecs, headers, timestamps, empty and absent keys and values; a group
    of the round commits offsets.
survey.py week BOOTSTRAP
    Writes a week of records to a topic that keeps three days in segments of six hours, waits until the
    others are gone, and deletes records of one partition by hand.
survey.py see BOOTSTRAP
    Prints what is there as JSON, sorted, a line for each thing: cluster, topic ids, configurations,
    offsets, every record, which offset each of many timestamps leads to, the members of groups with what
    they are assigned, and all offsets that groups have committed.
"""

import hashlib
import json
import random
import sys
import time

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewTopic,
    OffsetSpec,
)

DEADLINE_S = 60
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
DAY_MS = 24 * 3600 * 1000
# Every so many records of a partition, the offset of its timestamp is asked for.
LOOKUP_EVERY = 37

TOPICS = {
    "plain": (4, {}),
    "rolls": (2, {"segment.bytes": "1048576", "retention.ms": "-1", "index.interval.bytes": "512"}),
    "configured": (3, {"retention.ms": "864000000", "max.message.bytes": "2000000"}),
    "stamped-by-the-broker": (1, {"message.timestamp.type": "LogAppendTime"}),
    "short-lived": (2, {}),
    "born-twice": (2, {}),
}
COMPACTED = {
    "compacted": (
        2,
        # Nothing is compacted before the test is over: both sides must see the same records.
        {"cleanup.policy": "compact", "min.compaction.lag.ms": str(DAY_MS), "segment.ms": "3600000"},
    ),
}
ALIVE = [name for name in list(TOPICS) + list(COMPACTED) if name != "short-lived"]


def settle(futures):
    for future in futures.values():
        future.result(DEADLINE_S)


def make(bootstrap):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = [
        NewTopic(name, num_partitions=partitions, replication_factor=1, config=config)
        for name, (partitions, config) in {**TOPICS, **COMPACTED}.items()
    ]
    settle(admin.create_topics(new))
    write_to(bootstrap, ["short-lived", "born-twice"], "before-deletion")
    settle(admin.delete_topics(["short-lived", "born-twice"], operation_timeout=30))
    again = NewTopic("born-twice", num_partitions=2, replication_factor=1)
    until = time.monotonic() + DEADLINE_S
    while True:
        try:
            settle(admin.create_topics([again]))
            break
        except KafkaException:
            # Its deletion is not over.
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
    join(bootstrap)


def join(bootstrap):
    """A static member does not leave when it closes: its session lasts for as long as a test."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "of-one",
            "group.instance.id": "the-one",
            "session.timeout.ms": 1800000,
            "max.poll.interval.ms": 1800000,
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe(["plain"])
    until = time.monotonic() + DEADLINE_S
    while len(consumer.assignment()) < TOPICS["plain"][0]:
        if time.monotonic() > until:
            sys.exit("the member is assigned nothing")
        consumer.poll(0.1)
    consumer.close()


def configure(bootstrap):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    change = lambda name, operation, value=None: ConfigEntry(
        name, value, incremental_operation=operation
    )
    resource = ConfigResource(
        ConfigResource.Type.TOPIC,
        "configured",
        incremental_configs=[
            change("retention.ms", AlterConfigOpType.SET, "777600000"),
            change("retention.bytes", AlterConfigOpType.SET, "1073741824"),
            change("max.message.bytes", AlterConfigOpType.DELETE),
        ],
    )
    settle(admin.incremental_alter_configs([resource]))


def write(bootstrap, round_name):
    write_to(bootstrap, ALIVE, round_name)
    offsets = [
        TopicPartition("plain", partition, 7 * partition + len(round_name), f"note of {round_name}")
        for partition in range(TOPICS["plain"][0])
    ]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    commits = [ConsumerGroupTopicPartitions(f"group of {round_name}", offsets)]
    settle(admin.alter_consumer_group_offsets(commits))


def write_to(bootstrap, topics, round_name):
    """Two idempotent producers for each codec: one has one batch for each record, one large batches."""
    errors = []
    now = int(time.time() * 1000)
    for codec in CODECS:
        for linger_ms, count in [(0, 6), (50, 120)]:
            producer = Producer(
                {
                    "bootstrap.servers": bootstrap,
                    "enable.idempotence": True,
                    "compression.type": codec,
                    "linger.ms": linger_ms,
                }
            )
            for topic in topics:
                for number in range(count):
                    key = f"{codec}-{number % 11}".encode()
                    value = f"{round_name} {codec} {number} ".encode() * (1 + number % 40)
                    if topic == "rolls" and linger_ms:
                        value = random.Random(value).randbytes(8000)
                    if number % 13 == 0:
                        value = None if number % 2 else b""
                    if number % 17 == 5 and topic not in COMPACTED:
                        key = None
                    producer.produce(
                        topic,
                        value,
                        key,
                        # Times of the last five days, not in order.
                        timestamp=now - (number * 7919 * 1000) % (5 * DAY_MS),
                        headers=[("round", round_name.encode()), ("absent", None), ("round", b"2")],
                        on_delivery=lambda error, _: errors.append(error) if error else None,
                    )
                    if linger_ms == 0:
                        producer.flush(DEADLINE_S)
            if producer.flush(DEADLINE_S) or errors:
                sys.exit(f"round {round_name}: {errors[:3]}")


def week(bootstrap):
    minute_ms = 60_000
    every_ms, count = 15 * minute_ms, 7 * 24 * 4
    first = int(time.time() * 1000) - 169 * 60 * minute_ms
    admin = AdminClient({"bootstrap.servers": bootstrap})
    hours = lambda hours: str(hours * 60 * minute_ms)
    config = {"segment.ms": hours(6), "retention.ms": hours(72), "index.interval.bytes": "64"}
    new = NewTopic("week", num_partitions=2, replication_factor=1, config=config)
    settle(admin.create_topics([new]))
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 0})
    for number in range(count):
        for partition in (0, 1):
            at = first + number * every_ms
            value = f"{number} of a week".encode()
            producer.produce("week", value, partition=partition, timestamp=at)
        # Alone in its batch: a segment ends between batches.
        producer.flush(DEADLINE_S)
    # Younger than 72 hours is all from 97 hours after the first record on. Older than 72 hours and a whole
    # segment, 24 records behind its first one, is all until 90.75 hours after it.
    await_starts(admin, {0: (363, 388), 1: (363, 388)})
    settle(admin.delete_records([TopicPartition("week", 1, 510)]))
    await_starts(admin, {0: (363, 388), 1: (510, 510)})


def await_starts(admin, due):
    until = time.monotonic() + DEADLINE_S
    while True:
        asked = {TopicPartition("week", partition): OffsetSpec.earliest() for partition in due}
        starts = {partition: offset for (_, partition), offset in lookup(admin, asked)}
        if any(starts[partition] > most for partition, (_, most) in due.items()):
            sys.exit(f"{starts} where {due} was due: deleted too much")
        if all(starts[partition] >= least for partition, (least, _) in due.items()):
            return
        if time.monotonic() > until:
            sys.exit(f"{starts} where {due} was due")
        time.sleep(0.2)


def see(bootstrap):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    lines = []
    say = lambda *what: lines.append(json.dumps(what, sort_keys=True))
    say("cluster", admin.describe_cluster().result(DEADLINE_S).cluster_id)
    names = sorted(name for name in admin.list_topics().topics if not name.startswith("__"))
    described = admin.describe_topics(TopicCollection(names))
    partitions = []
    for name in names:
        topic = described[name].result(DEADLINE_S)
        say("topic", name, str(topic.topic_id), len(topic.partitions))
        for partition in topic.partitions:
            replicas = [node.id for node in partition.replicas], [node.id for node in partition.isr]
            say("partition", name, partition.id, partition.leader.id, *replicas)
            partitions.append(TopicPartition(name, partition.id))
        resource = ConfigResource(ConfigResource.Type.TOPIC, name)
        for future in admin.describe_configs([resource]).values():
            for entry in future.result(DEADLINE_S).values():
                if entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value:
                    say("config", name, entry.name, entry.value)
    offsets = {}
    for what, spec in [("start", OffsetSpec.earliest()), ("end", OffsetSpec.latest())]:
        for partition, offset in lookup(admin, {partition: spec for partition in partitions}):
            offsets[partition, what] = offset
            say(what, *partition, offset)
    for (topic, partition), records in sorted(read_all(bootstrap, offsets).items()):
        for record in records:
            say("record", topic, partition, *record)
        times = sorted({record[1] for record in records[::LOOKUP_EVERY]})
        times = sorted({at + more for at in times for more in (-1, 0, 1)} | {0})
        for at in times:
            asked = {TopicPartition(topic, partition): OffsetSpec.for_timestamp(at)}
            say("time", topic, partition, at, *(offset for _, offset in lookup(admin, asked)))
        asked = {TopicPartition(topic, partition): OffsetSpec.max_timestamp()}
        say("latest time", topic, partition, *(offset for _, offset in lookup(admin, asked)))
    for group in list_groups(admin):
        described = admin.describe_consumer_groups([group])[group].result(DEADLINE_S)
        say("group", group, described.state.name)
        for member in described.members:
            assigned = sorted((p.topic, p.partition) for p in member.assignment.topic_partitions)
            say("member", group, member.member_id, member.group_instance_id, member.host, assigned)
        asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
        for committed in asked[group].result(DEADLINE_S).topic_partitions:
            what = (committed.topic, committed.partition, committed.offset, committed.metadata)
            say("committed", group, *what)
    print("\n".join(sorted(lines)))


def list_groups(admin):
    """A coordinator that has only just started may be loading still."""
    until = time.monotonic() + DEADLINE_S
    while True:
        listed = admin.list_consumer_groups().result(DEADLINE_S)
        if not listed.errors:
            return sorted(group.group_id for group in listed.valid)
        if time.monotonic() > until:
            sys.exit(f"groups are not listed: {listed.errors}")
        time.sleep(0.2)


def lookup(admin, asked):
    found = admin.list_offsets(asked)
    return [((p.topic, p.partition), future.result(DEADLINE_S).offset) for p, future in found.items()]


def read_all(bootstrap, offsets):
    """For each (topic, partition), its records as (offset, time, kind of time, key, value, headers)."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            # The client demands a group id; with assign and no commits the broker never hears of it.
            "group.id": "unused",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "check.crcs": True,
            "fetch.wait.max.ms": 50,
        }
    )
    ends = {partition: end for (partition, what), end in offsets.items() if what == "end"}
    read = {partition: [] for partition in ends}
    open_ends = {p for p, end in ends.items() if offsets[p, "start"] < end}
    consumer.assign([TopicPartition(*p, offsets[p, "start"]) for p in sorted(open_ends)])
    until = time.monotonic() + DEADLINE_S
    while open_ends:
        if time.monotonic() > until:
            sys.exit(f"not read to the end: {sorted(open_ends)}")
        for message in consumer.consume(1000, 0.2):
            if message.error():
                raise KafkaException(message.error())
            at = (message.topic(), message.partition())
            kind, stamp = message.timestamp()
            text = lambda data: None if data is None else shorten(data)
            headers = [(name, text(data)) for name, data in message.headers() or []]
            key, value = text(message.key()), text(message.value())
            read[at].append((message.offset(), stamp, kind, key, value, headers))
            if message.offset() + 1 >= ends[at]:
                open_ends.discard(at)
    consumer.close()
    return read


def shorten(data):
    if len(data) <= 80:
        return data.decode("latin-1")
    return f"{len(data)} bytes {hashlib.sha256(data).hexdigest()[:16]}"


if __name__ == "__main__":
    commands = [make, configure, write, week, see]
    {command.__name__: command for command in commands}[sys.argv[1]](*sys.argv[2:])
