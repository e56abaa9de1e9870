// How quotas are set, told of and kept: one line for each case, the same from every broker.
// `java -cp 'kafka/*' Quotas.java <bootstrap>`; what is expected is in quotas.txt beside it.

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterClientQuotasOptions;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Metric;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaAlteration.Op;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Quotas {
    private static final String TOPIC = "limited";
    /** Bytes a second; ten seconds of it may come at once. */
    private static final double RATE = 100_000;
    private static final int VALUE_SIZE = 10_000;
    private static final int COUNT = 200;

    private final Admin admin;
    private final String bootstrap;

    private Quotas(Admin admin, String bootstrap) {
        this.admin = admin;
        this.bootstrap = bootstrap;
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", arguments[0], "client.id", "unlimited");
        try (Admin admin = Admin.create(config)) {
            Quotas quotas = new Quotas(admin, arguments[0]);
            quotas.alter();
            quotas.describe();
            quotas.remove();
            admin.createTopics(List.of(new NewTopic(TOPIC, 1, (short) 1))).all().get();
            quotas.produce();
            quotas.consume();
            quotas.mutate();
        }
    }

    private void line(String what, Callable<Object> answer) {
        String outcome;
        try {
            outcome = String.valueOf(answer.call());
        } catch (ExecutionException error) {
            outcome = error.getCause().getClass().getSimpleName();
        } catch (Exception error) {
            outcome = error.getClass().getSimpleName();
        }
        System.out.println(what + ": " + outcome);
    }

    /** An entity like `user=anna,client-id=`, whose empty names are the default. */
    private static ClientQuotaEntity entity(String text) {
        Map<String, String> parts = new HashMap<>();
        for (String part : text.split(",")) {
            String[] words = part.split("=", 2);
            if (words.length == 2) {
                parts.put(words[0], words[1].isEmpty() ? null : words[1]);
            }
        }
        return new ClientQuotaEntity(parts);
    }

    private void limit(String entity, String key, Double value) {
        limit(entity, false, new Op(key, value));
    }

    private void limit(String entity, boolean validateOnly, Op... ops) {
        String what = "limit " + entity + " to " + List.of(ops);
        line(validateOnly ? what + " to try it" : what, () -> {
            ClientQuotaAlteration alteration = new ClientQuotaAlteration(entity(entity), List.of(ops));
            AlterClientQuotasOptions options = new AlterClientQuotasOptions().validateOnly(validateOnly);
            admin.alterClientQuotas(List.of(alteration), options).all().get();
            return "done";
        });
    }

    private void alter() {
        limit("user=anna", "producer_byte_rate", 1000.0);
        limit("user=anna", "consumer_byte_rate", 2000.0);
        limit("user=anna", "request_percentage", 12.5);
        limit("user=anna", "controller_mutation_rate", 0.5);
        limit("user=", "producer_byte_rate", 3000.0);
        limit("user=anna,client-id=shop", "producer_byte_rate", 4000.0);
        limit("user=anna,client-id=", "producer_byte_rate", 5000.0);
        limit("user=,client-id=shop", "producer_byte_rate", 6000.0);
        limit("user=,client-id=", "producer_byte_rate", 7000.0);
        limit("client-id=shop", "producer_byte_rate", 8000.0);
        limit("client-id=", "producer_byte_rate", 9000.0);
        limit("ip=10.0.0.1", "connection_creation_rate", 10.0);
        limit("ip=", "connection_creation_rate", 11.0);
        limit("user=Ünïcödé %&", "producer_byte_rate", 1.0);
        limit("user=anna", true, new Op("producer_byte_rate", 77.0));
        limit("user=anna", true, new Op("no_such_key", 77.0));
        limit("user=anna", false, new Op("producer_byte_rate", 77.0), new Op("no_such_key", 1.0));
        limit("user=anna", false, new Op("producer_byte_rate", 7.0), new Op("producer_byte_rate", 8.0));
        limit("user=anna", "no_such_key", null);
        limit("user=nobody", "producer_byte_rate", null);
        limit("user=anna", "connection_creation_rate", 1.0);
        limit("user=anna", "producer_byte_rate", 0.0);
        limit("user=anna", "producer_byte_rate", -1.0);
        limit("user=anna", "producer_byte_rate", 1.5);
        limit("user=anna", "producer_byte_rate", 1e19);
        limit("user=anna", "request_percentage", 0.0);
        limit("ip=10.0.0.1", "producer_byte_rate", 1.0);
        limit("ip=10.0.0.1", "connection_creation_rate", 3e9);
        limit("ip=no.such.host.invalid", "connection_creation_rate", 1.0);
        limit("ip=10.0.0.1,user=anna", "connection_creation_rate", 1.0);
        limit("", "producer_byte_rate", 1.0);
        limit("group=anna", "producer_byte_rate", 1.0);
    }

    private void find(boolean strict, ClientQuotaFilterComponent... components) {
        List<ClientQuotaFilterComponent> list = List.of(components);
        ClientQuotaFilter filter =
            strict ? ClientQuotaFilter.containsOnly(list) : ClientQuotaFilter.contains(list);
        line((strict ? "only " : "all ") + list, () -> found(filter));
    }

    private Map<String, Object> found(ClientQuotaFilter filter) throws Exception {
        Map<String, Object> found = new TreeMap<>();
        admin.describeClientQuotas(filter).entities().get().forEach((entity, values) ->
            found.put(new TreeMap<>(entity.entries()).toString(), new TreeMap<>(values)));
        return found;
    }

    /** A broker may show what is new later than its controller answers. */
    private void await(String entity, boolean isThere) throws Exception {
        String wanted = new TreeMap<>(entity(entity).entries()).toString();
        while (found(ClientQuotaFilter.all()).containsKey(wanted) != isThere) {
            Thread.sleep(20);
        }
    }

    private void describe() throws Exception {
        await("user=Ünïcödé %&", true);
        line("all", () -> found(ClientQuotaFilter.all()));
        ClientQuotaFilterComponent anna = ClientQuotaFilterComponent.ofEntity("user", "anna");
        ClientQuotaFilterComponent defaultUser = ClientQuotaFilterComponent.ofDefaultEntity("user");
        ClientQuotaFilterComponent anyUser = ClientQuotaFilterComponent.ofEntityType("user");
        ClientQuotaFilterComponent shop = ClientQuotaFilterComponent.ofEntity("client-id", "shop");
        ClientQuotaFilterComponent anyClient = ClientQuotaFilterComponent.ofEntityType("client-id");
        ClientQuotaFilterComponent anyIp = ClientQuotaFilterComponent.ofEntityType("ip");
        for (boolean strict : new boolean[] {false, true}) {
            find(strict, anna);
            find(strict, defaultUser);
            find(strict, anyUser);
            find(strict, anna, anyClient);
            find(strict, anyUser, shop);
            find(strict, anyIp);
            find(strict, ClientQuotaFilterComponent.ofEntity("user", "nobody"));
            find(strict);
        }
        find(false, anna, anyUser);
        find(false, anyIp, anyUser);
        find(false, ClientQuotaFilterComponent.ofEntityType("group"));
        find(false, ClientQuotaFilterComponent.ofEntityType(""));
    }

    private void remove() throws Exception {
        limit("user=anna", false, new Op("producer_byte_rate", null), new Op("request_percentage", null));
        limit("ip=", "connection_creation_rate", null);
        await("ip=", false);
        line("what is left", () -> found(ClientQuotaFilter.all()));
        // In one request, so that nothing is limited from here on.
        line("remove all", () -> {
            List<ClientQuotaAlteration> all = new java.util.ArrayList<>();
            admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get().forEach((entity, values) ->
                all.add(new ClientQuotaAlteration(entity,
                    values.keySet().stream().map(key -> new Op(key, null)).toList())));
            admin.alterClientQuotas(all).all().get();
            while (!found(ClientQuotaFilter.all()).isEmpty()) {
                Thread.sleep(20);
            }
            return "done";
        });
    }

    private static boolean hasWaited(Map<?, ? extends Metric> metrics, String name) {
        return metrics.values().stream().anyMatch(metric -> metric.metricName().name().equals(name)
            && metric.metricValue() instanceof Double value && value > 0);
    }

    /** Whether what took so long kept to the rate, beside what may come at once; a busy host may not reach it. */
    private static Object kept(long began, boolean hasWaited) {
        double took = (System.nanoTime() - began) / 1e9;
        double all = COUNT * VALUE_SIZE / RATE;
        boolean isKept = took >= (all - 10) * 0.85 && took <= all * 4;
        return isKept && (hasWaited || took > all) ? "kept" : "took " + took + " s, waited " + hasWaited;
    }

    private void produce() throws Exception {
        limit("client-id=limited", "producer_byte_rate", RATE);
        await("client-id=limited", true);
        // Small requests, as one alone that is larger than all windows waits for longer than it should.
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "client.id", "limited",
            "batch.size", 20_000, "linger.ms", 0, "acks", "all");
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config,
                new ByteArraySerializer(), new ByteArraySerializer())) {
            producer.partitionsFor(TOPIC);
            long began = System.nanoTime();
            for (int index = 0; index < COUNT; index++) {
                producer.send(new ProducerRecord<>(TOPIC, 0, null, new byte[VALUE_SIZE]));
            }
            producer.flush();
            line("a producer's rate", () ->
                kept(began, hasWaited(producer.metrics(), "produce-throttle-time-max")));
        }
        limit("client-id=limited", "producer_byte_rate", null);
        await("client-id=limited", false);
    }

    private void consume() throws Exception {
        limit("client-id=limited", "consumer_byte_rate", RATE);
        await("client-id=limited", true);
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "client.id", "limited",
            "enable.auto.commit", false, "auto.offset.reset", "earliest",
            "max.partition.fetch.bytes", 50_000);
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config,
                new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(List.of(new TopicPartition(TOPIC, 0)));
            long began = System.nanoTime();
            for (int count = 0; count < COUNT; ) {
                count += consumer.poll(Duration.ofMillis(100)).count();
            }
            line("a consumer's rate", () ->
                kept(began, hasWaited(consumer.metrics(), "fetch-throttle-time-max")));
        }
        limit("client-id=limited", "consumer_byte_rate", null);
        await("client-id=limited", false);
    }

    private static void create(Admin by, String name, int partitions) throws Exception {
        CreateTopicsOptions options = new CreateTopicsOptions().retryOnQuotaViolation(false);
        NewTopic topic = new NewTopic(name, Optional.of(partitions), Optional.empty());
        by.createTopics(List.of(topic), options).all().get();
    }

    private void create(String what, Admin by, String name, int partitions) {
        line(what + " creates " + name + " of " + partitions, () -> {
            create(by, name, partitions);
            return "done";
        });
    }

    /** Hardly more than one may be made, but whoever finds one left may make more. */
    private void mutate() throws Exception {
        limit("client-id=limited", "controller_mutation_rate", 0.1);
        await("client-id=limited", true);
        Admin limited = Admin.create(Map.of("bootstrap.servers", bootstrap, "client.id", "limited"));
        create("the limited one", limited, "limited-a", 1);
        create("the limited one", limited, "limited-b", 9);
        create("the limited one", limited, "limited-c", 1);
        // It would wait for a minute and more before it asks again.
        limited.close(Duration.ZERO);
        create("another one", admin, "limited-c", 1);
        limit("client-id=limited", "controller_mutation_rate", null);
    }
}
