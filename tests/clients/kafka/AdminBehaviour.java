// What an Apache Kafka client's administrator is answered: one line for each case, the same from every
// broker. `java -cp 'kafka/*' AdminBehaviour.java <bootstrap>`; what is expected is in
// admin_behaviour.txt beside it.

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.CreatePartitionsOptions;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.FeatureUpdate.UpgradeType;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.QuorumInfo;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.serialization.StringSerializer;

public class AdminBehaviour {
    private final Admin admin;
    private final String bootstrap;

    private AdminBehaviour(Admin admin, String bootstrap) {
        this.admin = admin;
        this.bootstrap = bootstrap;
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, Object> config = Map.of(
            "bootstrap.servers", arguments[0],
            "request.timeout.ms", 10000, "default.api.timeout.ms", 20000,
            "retries", 3);
        try (Admin admin = Admin.create(config)) {
            AdminBehaviour behaviour = new AdminBehaviour(admin, arguments[0]);
            behaviour.topics();
            behaviour.partitions();
            behaviour.describe();
            behaviour.records();
            behaviour.elections();
            behaviour.reassignments();
            behaviour.features();
            behaviour.cluster();
            behaviour.credentials();
            behaviour.deletions();
        }
    }

    /** Prints what `answer` returns, or the name of its error. */
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

    private void all(String what, KafkaFuture<?> future) {
        line(what, () -> {
            future.get();
            return "done";
        });
    }

    private void create(String what, NewTopic topic) {
        line(what, () -> {
            CreateTopicsResult result = admin.createTopics(List.of(topic));
            result.all().get();
            return result.numPartitions(topic.name()).get() + " partitions, replication factor "
                + result.replicationFactor(topic.name()).get() + ", retention.ms "
                + result.config(topic.name()).get().get("retention.ms").value();
        });
    }

    private static NewTopic topic(String name, int partitions) {
        return new NewTopic(name, partitions, (short) 1);
    }

    private void topics() {
        create("create", topic("ab", 3));
        create("create with defaults", new NewTopic("ab-defaults", Optional.empty(), Optional.empty()));
        create("create with a configuration", topic("ab-configured", 1).configs(Map.of("retention.ms", "77")));
        create("create with an assignment", new NewTopic("ab-assigned", Map.of(0, List.of(1), 1, List.of(1))));
        create("create what exists", topic("ab", 3));
        create("create without a name", topic("", 1));
        create("create with a space", topic("a b", 1));
        create("create a dot", topic(".", 1));
        create("create with a long name", topic("x".repeat(250), 1));
        create("create with the longest name", topic("x".repeat(249), 1));
        create("create a.b", topic("a.b", 1));
        create("create a_b beside it", topic("a_b", 1));
        create("create the metadata's topic", topic("__cluster_metadata", 1));
        create("create with no partitions", topic("ab-none", 0));
        create("create with -2 partitions", topic("ab-none", -2));
        create("create with two replicas", new NewTopic("ab-two", 1, (short) 2));
        create("create with no replicas", new NewTopic("ab-two", 1, (short) 0));
        create("create with an unknown configuration", topic("ab-two", 1).configs(Map.of("no.such", "1")));
        create("create with a wrong value", topic("ab-two", 1).configs(Map.of("retention.ms", "soon")));
        create("create with a value out of range", topic("ab-two", 1).configs(Map.of("segment.bytes", "1")));
        create("create on a broker that is not there", new NewTopic("ab-two", Map.of(0, List.of(9))));
        create("create twice on one broker", new NewTopic("ab-two", Map.of(0, List.of(1, 1))));
        create("create on no broker", new NewTopic("ab-two", Map.of(0, List.of())));
        create("create with a gap", new NewTopic("ab-two", Map.of(0, List.of(1), 2, List.of(1))));
        CreateTopicsOptions only = new CreateTopicsOptions().validateOnly(true);
        all("validate", admin.createTopics(List.of(topic("ab-validated", 2)), only).all());
        all("validate what exists", admin.createTopics(List.of(topic("ab", 2)), only).all());
        line("what was validated is not there", () ->
            admin.listTopics().names().get().contains("ab-validated"));
        CreateTopicsResult mixed =
            admin.createTopics(List.of(topic("ab-mixed", 1), topic("ab", 1)));
        all("create one of two", mixed.values().get("ab-mixed"));
        all("create the other of two", mixed.values().get("ab"));
    }

    private void grow(String what, String topic, NewPartitions partitions) {
        all(what, admin.createPartitions(Map.of(topic, partitions)).all());
    }

    private void partitions() {
        grow("grow", "ab", NewPartitions.increaseTo(5));
        grow("grow to as many", "ab", NewPartitions.increaseTo(5));
        grow("grow to fewer", "ab", NewPartitions.increaseTo(2));
        grow("grow to none", "ab", NewPartitions.increaseTo(0));
        grow("grow to -1", "ab", NewPartitions.increaseTo(-1));
        grow("grow what is not there", "ab-none", NewPartitions.increaseTo(2));
        grow("grow with an assignment", "ab", NewPartitions.increaseTo(6, List.of(List.of(1))));
        grow("grow with too many assignments", "ab",
            NewPartitions.increaseTo(7, List.of(List.of(1), List.of(1))));
        grow("grow with an unknown broker", "ab", NewPartitions.increaseTo(7, List.of(List.of(9))));
        grow("grow with two replicas", "ab", NewPartitions.increaseTo(7, List.of(List.of(1, 9))));
        grow("grow on no broker", "ab", NewPartitions.increaseTo(7, List.of(List.of())));
        all("validate growth", admin.createPartitions(Map.of("ab", NewPartitions.increaseTo(9)),
            new CreatePartitionsOptions().validateOnly(true)).all());
        // A broker may show growth later than its controller answers it.
        line("partitions in the end", () -> {
            for (int tries = 0; ; tries++) {
                int count = described("ab", new DescribeTopicsOptions()).partitions().size();
                if (count == 6 || tries == 100) {
                    return count;
                }
                Thread.sleep(100);
            }
        });
    }

    private TopicDescription described(String name, DescribeTopicsOptions options) throws Exception {
        return admin.describeTopics(List.of(name), options).allTopicNames().get().get(name);
    }

    private void describe() {
        for (int limit : new int[] {1, 2, 5, 2000}) {
            line("describe " + limit + " partitions at a time", () -> {
                DescribeTopicsOptions options =
                    new DescribeTopicsOptions().partitionSizeLimitPerResponse(limit);
                List<String> partitions = new ArrayList<>();
                for (TopicPartitionInfo info : described("ab", options).partitions()) {
                    partitions.add(info.partition() + " led by " + info.leader().id() + " of "
                        + info.replicas().size() + "/" + info.isr().size() + "/" + info.elr().size());
                }
                return String.join(", ", partitions);
            });
        }
        line("describe several topics", () -> new TreeSet<>(
            admin.describeTopics(List.of("ab", "a.b", "ab-defaults"),
                new DescribeTopicsOptions().partitionSizeLimitPerResponse(3)).allTopicNames().get().keySet()));
        all("describe what is not there", admin.describeTopics(List.of("ab-none")).allTopicNames());
        all("describe an impossible name", admin.describeTopics(List.of("a b")).allTopicNames());
        all("describe an unknown id", admin.describeTopics(
            TopicCollection.ofTopicIds(List.of(Uuid.fromString("AAAAAAAAAAAAAAAAAAAAZg")))).allTopicIds());
        line("describe by id", () -> {
            Uuid id = described("ab", new DescribeTopicsOptions()).topicId();
            return admin.describeTopics(TopicCollection.ofTopicIds(List.of(id)))
                .allTopicIds().get().get(id).name();
        });
        line("operations on a topic", () -> new TreeSet<>(described("ab",
            new DescribeTopicsOptions().includeAuthorizedOperations(true)).authorizedOperations()));
    }

    private void records() throws Exception {
        TopicPartition first = new TopicPartition("ab", 0);
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(Map.of(
                "bootstrap.servers", bootstrap), new StringSerializer(), new StringSerializer())) {
            for (int index = 0; index < 10; index++) {
                producer.send(new ProducerRecord<>("ab", 0, "key", "value")).get();
            }
        }
        line("producers of a partition", () -> {
            List<ProducerState> states = admin.describeProducers(List.of(first))
                .partitionResult(first).get().activeProducers();
            ProducerState state = states.get(0);
            return states.size() + ", epoch " + state.producerEpoch() + ", sequence "
                + state.lastSequence() + ", coordinator epoch " + state.coordinatorEpoch()
                + ", transaction from " + state.currentTransactionStartOffset();
        });
        TopicPartition quiet = new TopicPartition("ab", 1);
        line("producers of a quiet partition", () ->
            admin.describeProducers(List.of(quiet)).partitionResult(quiet).get().activeProducers());
        delete("delete records", first, 4);
        delete("delete records again", first, 2);
        delete("delete records beyond the end", first, 11);
        delete("delete records below nothing", first, -2);
        delete("delete all records", first, -1);
    }

    private void delete(String what, TopicPartition partition, long before) {
        line(what, () -> admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(before)))
            .lowWatermarks().get(partition).get().lowWatermark());
    }

    private void elect(String what, ElectionType type, Set<TopicPartition> partitions) {
        line(what, () -> {
            Map<String, String> outcomes = new TreeMap<>();
            admin.electLeaders(type, partitions).partitions().get().forEach((partition, error) ->
                outcomes.put(partition.toString(),
                    error.map(it -> it.getClass().getSimpleName()).orElse("elected")));
            return outcomes;
        });
    }

    private void elections() {
        Set<TopicPartition> one = Set.of(new TopicPartition("ab", 0));
        elect("elect the preferred leader", ElectionType.PREFERRED, one);
        elect("elect any leader", ElectionType.UNCLEAN, one);
        elect("elect in partitions that are not there", ElectionType.PREFERRED,
            Set.of(new TopicPartition("ab", 99), new TopicPartition("ab-none", 0)));
        elect("elect everywhere", ElectionType.PREFERRED, null);
    }

    private void reassign(String what, String topic, int partition, Optional<NewPartitionReassignment> to) {
        all(what, admin.alterPartitionReassignments(Map.of(new TopicPartition(topic, partition), to)).all());
    }

    private static Optional<NewPartitionReassignment> to(Integer... brokers) {
        return Optional.of(new NewPartitionReassignment(List.of(brokers)));
    }

    private void reassignments() {
        reassign("reassign to where it is", "ab", 0, to(1));
        reassign("reassign to an unknown broker", "ab", 0, to(9));
        reassign("reassign to one broker twice", "ab", 0, to(1, 1));
        reassign("reassign an unknown topic", "ab-none", 0, to(1));
        reassign("reassign an unknown partition", "ab", 99, to(1));
        reassign("cancel what is not under way", "ab", 0, Optional.empty());
        line("reassignments", () -> admin.listPartitionReassignments().reassignments().get());
        line("reassignments of an unknown topic", () -> admin.listPartitionReassignments(
            Set.of(new TopicPartition("ab-none", 0))).reassignments().get());
    }

    private void update(String what, boolean validate, String feature, int level, UpgradeType type) {
        all(what, admin.updateFeatures(
            Map.of(feature, new FeatureUpdate((short) level, type)),
            new UpdateFeaturesOptions().validateOnly(validate)).all());
    }

    private void features() {
        line("metadata.version", () ->
            admin.describeFeatures().featureMetadata().get().finalizedFeatures().get("metadata.version"));
        line("kraft.version", () ->
            admin.describeFeatures().featureMetadata().get().supportedFeatures().get("kraft.version"));
        update("feature to where it is", false, "metadata.version", 30, UpgradeType.UPGRADE);
        update("feature above what is known", false, "metadata.version", 99, UpgradeType.UPGRADE);
        update("feature down", false, "metadata.version", 29, UpgradeType.UPGRADE);
        update("feature down, safely", false, "metadata.version", 29, UpgradeType.SAFE_DOWNGRADE);
        update("feature down, unsafely", false, "metadata.version", 29, UpgradeType.UNSAFE_DOWNGRADE);
        update("unknown feature", false, "teleport.version", 1, UpgradeType.UPGRADE);
        update("group.version up", true, "group.version", 1, UpgradeType.UPGRADE);
        update("group.version too far up", true, "group.version", 9, UpgradeType.UPGRADE);
        update("group.version down", true, "group.version", 0, UpgradeType.SAFE_DOWNGRADE);
        update("group.version up as a downgrade", true, "group.version", 9, UpgradeType.SAFE_DOWNGRADE);
    }

    private void cluster() {
        line("quorum", () -> {
            QuorumInfo quorum = admin.describeMetadataQuorum().quorumInfo().get();
            QuorumInfo.ReplicaState voter = quorum.voters().get(0);
            boolean moves = quorum.highWatermark() > 0 && voter.logEndOffset() >= quorum.highWatermark();
            return "leader " + quorum.leaderId() + ", " + quorum.voters().size() + " voter "
                + voter.replicaId() + ", " + quorum.observers().size() + " observers, moves " + moves
                + ", fetched " + voter.lastFetchTimestamp().isPresent()
                + ", nodes " + quorum.nodes().keySet();
        });
        line("cluster", () -> admin.describeCluster().nodes().get().size() + " brokers, controller "
            + admin.describeCluster().controller().get().id());
        line("cluster with fenced brokers", () -> admin.describeCluster(
            new DescribeClusterOptions().includeFencedBrokers(true)).nodes().get().size());
        line("operations on the cluster", () -> new TreeSet<>(admin.describeCluster(
            new DescribeClusterOptions().includeAuthorizedOperations(true)).authorizedOperations().get()));
        line("log directories", () -> {
            Map<String, LogDirDescription> directories =
                admin.describeLogDirs(List.of(1)).allDescriptions().get().get(1);
            boolean hasSpace = true;
            boolean holdsRecords = false;
            Set<String> topics = new TreeSet<>();
            for (LogDirDescription directory : directories.values()) {
                hasSpace &= directory.totalBytes().getAsLong() > directory.usableBytes().getAsLong();
                directory.replicaInfos().forEach((partition, replica) -> {
                    if (partition.topic().startsWith("ab")) {
                        topics.add(partition.topic());
                    }
                });
                var replica = directory.replicaInfos().get(new TopicPartition("ab", 0));
                holdsRecords |= replica != null && replica.size() > 0 && replica.offsetLag() == 0
                    && !replica.isFuture();
            }
            return directories.size() + ", space " + hasSpace + ", records " + holdsRecords + ", " + topics;
        });
        all("unregister an unknown broker", admin.unregisterBroker(77).all());
    }

    private void credentials() {
        line("users with SCRAM credentials", () -> admin.describeUserScramCredentials().all().get());
        line("credentials of a user that has none", () ->
            admin.describeUserScramCredentials(List.of("nobody")).description("nobody").get());
        line("users with credentials of two that have none", () ->
            admin.describeUserScramCredentials(List.of("nobody", "neither")).users().get());
    }

    private void deletions() throws Exception {
        all("delete what is not there", admin.deleteTopics(List.of("ab-none")).all());
        all("delete an impossible name", admin.deleteTopics(List.of("a b")).all());
        all("delete an unknown id", admin.deleteTopics(
            TopicCollection.ofTopicIds(List.of(Uuid.fromString("AAAAAAAAAAAAAAAAAAAAZg")))).all());
        Uuid id = described("ab-defaults", new DescribeTopicsOptions()).topicId();
        all("delete by id", admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
        for (String name : new TreeSet<>(admin.listTopics().names().get())) {
            if (name.startsWith("ab") || name.startsWith("a.b") || name.startsWith("xxx")) {
                all("delete " + (name.length() > 100 ? "the longest" : name), admin.deleteTopics(List.of(name)).all());
            }
        }
    }
}
