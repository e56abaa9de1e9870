// Gives a broker topics to compact, and shows what is left of them.
// `java -cp 'kafka/*' CompactedTopics.java <bootstrap> <command>`:
//
// fill    creates the topics, not compacted yet, and writes to them: with and without idempotence, in
//         transactions that commit and that do not, with all codecs, tombstones, and no key
// more    writes on: each record in a batch of its own, by nobody in particular
// compact has the topics compacted as soon as there is anything to compact
// stop    has them not compacted
// see     prints what a reader of committed records is given, a line for each

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class CompactedTopics {
    private static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    private static final String TRANSACTIONAL = "transactional";
    private static final int KEY_COUNT = 97;
    private static final int VALUE_SIZE_BYTES = 6000;
    private static final long FIRST_TIMESTAMP = 1_700_000_000_000L;

    private final String bootstrap;
    private final Random random;
    private final Map<String, Integer> written = new HashMap<>();

    private CompactedTopics(String bootstrap, long seed) {
        this.bootstrap = bootstrap;
        this.random = new Random(seed);
    }

    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[0];
        switch (arguments[1]) {
            case "fill" -> new CompactedTopics(bootstrap, 1).fill();
            case "more" -> new CompactedTopics(bootstrap, 2).more();
            case "compact" -> policy(bootstrap, "compact");
            case "stop" -> policy(bootstrap, "delete");
            case "see" -> see(bootstrap);
            default -> throw new IllegalArgumentException(arguments[1]);
        }
    }

    private static List<String> topics() {
        List<String> topics = new ArrayList<>();
        CODECS.forEach(codec -> topics.add("compacted-" + codec));
        topics.add(TRANSACTIONAL);
        return topics;
    }

    private static void policy(String bootstrap, String policy) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            Map<ConfigResource, Collection<AlterConfigOp>> changes = new HashMap<>();
            AlterConfigOp change = new AlterConfigOp(
                new ConfigEntry("cleanup.policy", policy), AlterConfigOp.OpType.SET);
            for (String topic : topics()) {
                changes.put(new ConfigResource(ConfigResource.Type.TOPIC, topic), List.of(change));
            }
            admin.incrementalAlterConfigs(changes).all().get();
        }
    }

    private void fill() throws Exception {
        Map<String, String> config = Map.of(
            "cleanup.policy", "delete", "retention.ms", "-1", "segment.bytes", "1048576",
            "min.cleanable.dirty.ratio", "0.0", "delete.retention.ms", "500",
            "index.interval.bytes", "512", "message.timestamp.before.max.ms", "9223372036854775807");
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            List<NewTopic> created = new ArrayList<>();
            for (String topic : topics()) {
                created.add(new NewTopic(topic, 1, (short) 1).configs(config));
            }
            admin.createTopics(created).all().get();
        }
        for (String codec : CODECS) {
            String topic = "compacted-" + codec;
            // Each is heard of once, and then never again: of the first nothing but its sequence is left.
            for (int turn = 0; turn < 4; turn++) {
                boolean isIdempotent = turn % 2 == 0;
                try (KafkaProducer<byte[], byte[]> producer = producer(codec, isIdempotent, null, 20)) {
                    for (int number = 0; number < 300; number++) {
                        producer.send(next(topic, turn == 1 && number % 29 == 0));
                    }
                }
            }
        }
        try (KafkaProducer<byte[], byte[]> one = producer("none", true, "one", 20);
             KafkaProducer<byte[], byte[]> other = producer("lz4", true, "other", 20);
             KafkaProducer<byte[], byte[]> neither = producer("none", true, null, 20)) {
            one.initTransactions();
            other.initTransactions();
            for (int turn = 0; turn < 24; turn++) {
                one.beginTransaction();
                other.beginTransaction();
                for (int number = 0; number < 20; number++) {
                    one.send(next(TRANSACTIONAL, false));
                    other.send(next(TRANSACTIONAL, false));
                    neither.send(next(TRANSACTIONAL, false));
                    if (number % 7 == 0) {
                        one.flush();
                        other.flush();
                        neither.flush();
                    }
                }
                one.flush();
                neither.flush();
                if (turn % 3 == 0) {
                    one.abortTransaction();
                } else {
                    one.commitTransaction();
                }
                if (turn % 4 == 1) {
                    other.abortTransaction();
                } else {
                    other.commitTransaction();
                }
            }
        }
    }

    private void more() throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer("none", false, null, 0)) {
            for (String topic : topics()) {
                for (int number = 0; number < 700; number++) {
                    producer.send(next(topic, false)).get();
                }
            }
        }
    }

    private KafkaProducer<byte[], byte[]> producer(
            String codec, boolean isIdempotent, String transactionalId, int lingerMs) {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", bootstrap);
        config.put("acks", "all");
        config.put("compression.type", codec);
        config.put("enable.idempotence", isIdempotent);
        config.put("linger.ms", lingerMs);
        config.put("batch.size", 60_000);
        config.put("max.in.flight.requests.per.connection", 1);
        if (transactionalId != null) {
            config.put("transactional.id", transactionalId);
        }
        return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private ProducerRecord<byte[], byte[]> next(String topic, boolean isWithoutKey) {
        int number = written.merge(topic, 1, Integer::sum);
        int drawn = random.nextInt(KEY_COUNT);
        byte[] key = ("key-" + drawn).getBytes(StandardCharsets.UTF_8);
        byte[] value = new byte[random.nextInt(VALUE_SIZE_BYTES)];
        random.nextBytes(value);
        // Some keys are never heard of after the first records, which compress well.
        if (number < 40) {
            key = ("early-" + number).getBytes(StandardCharsets.UTF_8);
            Arrays.fill(value, (byte) number);
        }
        boolean isTombstone = random.nextInt(6) == 0;
        ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(
            topic, 0, FIRST_TIMESTAMP + (number * 7919L) % 1_000_000,
            isWithoutKey ? null : key, isTombstone ? null : value);
        if (number % 5 == 0) {
            record.headers().add(new RecordHeader("header", new byte[] {(byte) number}));
            record.headers().add(new RecordHeader("absent", null));
        }
        return record;
    }

    private static void see(String bootstrap) throws Exception {
        Map<String, Object> config = Map.of(
            "bootstrap.servers", bootstrap, "isolation.level", "read_committed",
            "enable.auto.commit", false, "auto.offset.reset", "none", "check.crcs", true);
        StringBuilder lines = new StringBuilder();
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(
                config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            for (String topic : topics()) {
                TopicPartition partition = new TopicPartition(topic, 0);
                long end = consumer.endOffsets(List.of(partition)).get(partition);
                lines.append(topic).append(" end ").append(end).append('\n');
                for (long at = FIRST_TIMESTAMP; at < FIRST_TIMESTAMP + 1_100_000; at += 50_000) {
                    var found = consumer.offsetsForTimes(Map.of(partition, at)).get(partition);
                    lines.append(topic).append(" from ").append(at).append(' ')
                        .append(found == null ? "nothing" : found.offset()).append('\n');
                }
                consumer.assign(List.of(partition));
                consumer.seek(partition, 0);
                while (consumer.position(partition) < end) {
                    for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                        lines.append(topic).append(' ').append(record.offset()).append(' ')
                            .append(record.timestamp()).append(' ').append(text(record.key()))
                            .append(' ').append(hash(record.value()));
                        record.headers().forEach(header -> lines.append(' ').append(header.key())
                            .append('=').append(hash(header.value())));
                        lines.append('\n');
                    }
                }
            }
        }
        System.out.print(lines);
    }

    private static String text(byte[] key) {
        return key == null ? "none" : new String(key, StandardCharsets.UTF_8);
    }

    private static String hash(byte[] value) {
        return Optional.ofNullable(value)
            .map(bytes -> bytes.length + ":" + Integer.toHexString(Arrays.hashCode(bytes)))
            .orElse("none");
    }
}
