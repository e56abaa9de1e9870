// A member of a group by kafkajs: `node member.mjs BOOTSTRAP GROUP TOPIC`.
// Prints `own 0 2` whenever it owns other partitions than before, all it then owns, and
// `record PARTITION OFFSET VALUE` for each record; commits what it has printed. Leaves when its standard
// input ends.

import { createRequire } from "node:module";

const { Kafka, logLevel } = createRequire(process.env.NODE_PACKAGES + "/")("kafkajs");
const [bootstrap, groupId, topic] = process.argv.slice(2);

const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.ERROR });
const consumer = kafka.consumer({
  groupId,
  sessionTimeout: 6000,
  heartbeatInterval: 300,
  metadataMaxAge: 1000,
  maxWaitTimeInMs: 100,
});
const say = (...words) => process.stdout.write(words.join(" ") + "\n");

consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
  const partitions = payload.memberAssignment[topic] ?? [];
  say("own", ...[...partitions].sort((a, b) => a - b));
});
consumer.on(consumer.events.REBALANCING, () => say("own"));

await consumer.connect();
await consumer.subscribe({ topics: [topic], fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachBatchAutoResolve: false,
  eachBatch: async ({ batch, resolveOffset, heartbeat, isRunning, isStale }) => {
    const { partition, messages } = batch;
    if (!isRunning() || isStale() || messages.length === 0) return;
    for (const message of messages) {
      say("record", partition, message.offset, message.value.toString());
      resolveOffset(message.offset);
    }
    const offset = (BigInt(batch.lastOffset()) + 1n).toString();
    await consumer.commitOffsets([{ topic, partition, offset }]);
    await heartbeat();
  },
});
process.stdin.resume();
process.stdin.on("end", async () => {
  await consumer.disconnect();
  process.exit(0);
});
