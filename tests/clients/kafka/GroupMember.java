// A member of a group by Apache Kafka's consumer: `java -cp 'kafka/*' GroupMember.java <bootstrap> <group>
// <topic> [key=value...]`. Prints `own 0 2` whenever it owns other partitions than before, all it then
// owns, and `record <partition> <offset> <value>` for each record; commits what it has printed. Leaves
// when its standard input ends.

import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

public class GroupMember {
    private static final TreeSet<Integer> OWNED = new TreeSet<>();

    public static void main(String[] arguments) throws Exception {
        Map<String, Object> config = new HashMap<>(Map.of(
            "bootstrap.servers", arguments[0],
            "group.id", arguments[1],
            "enable.auto.commit", false,
            "auto.offset.reset", "earliest",
            "metadata.max.age.ms", 1000,
            "fetch.max.wait.ms", 100,
            "max.poll.records", 100));
        for (int i = 3; i < arguments.length; i++) {
            String[] pair = arguments[i].split("=", 2);
            config.put(pair[0], pair[1]);
        }
        AtomicBoolean isAsked = new AtomicBoolean();
        Thread input = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                    continue;
                }
            } catch (java.io.IOException error) {
                System.err.println(error);
            }
            isAsked.set(true);
        });
        input.setDaemon(true);
        input.start();
        StringDeserializer text = new StringDeserializer();
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(config, text, text)) {
            consumer.subscribe(List.of(arguments[2]), new Owned());
            while (!isAsked.get()) {
                ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(100));
                for (ConsumerRecord<String, String> record : records) {
                    say("record " + record.partition() + " " + record.offset() + " " + record.value());
                }
                if (!records.isEmpty()) {
                    consumer.commitSync();
                }
            }
        }
    }

    private static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static void sayOwned() {
        StringBuilder line = new StringBuilder("own");
        OWNED.forEach(partition -> line.append(' ').append(partition));
        say(line.toString());
    }

    /** An eager protocol revokes everything, a cooperative one what moves. */
    private static class Owned implements ConsumerRebalanceListener {
        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            partitions.forEach(it -> OWNED.add(it.partition()));
            sayOwned();
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            partitions.forEach(it -> OWNED.remove(it.partition()));
            sayOwned();
        }
    }
}
