// Writes partition_changes.txt: what Apache Kafka's PartitionChangeBuilder answers to random
// questions. Run from this folder with Kafka 4.3.1's jars:
//   java -cp "$KAFKA_LIBS/*" PartitionChanges.java > partition_changes.txt

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.metadata.PartitionChangeRecord;
import org.apache.kafka.controller.PartitionChangeBuilder;
import org.apache.kafka.metadata.LeaderRecoveryState;
import org.apache.kafka.metadata.PartitionRegistration;
import org.apache.kafka.server.common.ApiMessageAndVersion;
import org.apache.kafka.server.common.MetadataVersion;

public class PartitionChanges {
    static final Random RANDOM = new Random(20260101);
    static final int ROWS = 600;

    public static void main(String[] args) {
        System.out.println("# Written by PartitionChanges.java with Apache Kafka 4.3.1.");
        System.out.println("# partition | target | change; '-' is empty or none, '~' is no change.");
        Set<String> rows = new TreeSet<>();
        while (rows.size() < ROWS) rows.add(row());
        rows.forEach(System.out::println);
    }

    static List<Integer> someOf(List<Integer> from) {
        return from.stream().filter(id -> RANDOM.nextBoolean()).collect(Collectors.toList());
    }

    static List<Integer> without(List<Integer> from, List<Integer> other) {
        return from.stream().filter(id -> !other.contains(id)).collect(Collectors.toList());
    }

    static String show(List<Integer> ids) {
        if (ids == null) return "~";
        if (ids.isEmpty()) return "-";
        return ids.stream().map(Object::toString).collect(Collectors.joining(","));
    }

    static int[] array(List<Integer> ids) {
        return ids.stream().mapToInt(Integer::intValue).toArray();
    }

    static String row() {
        boolean elrEnabled = RANDOM.nextInt(4) > 0;
        List<Integer> replicas = new ArrayList<>(List.of(1, 2, 3).subList(0, 1 + RANDOM.nextInt(3)));
        java.util.Collections.shuffle(replicas, RANDOM);
        List<Integer> isr = someOf(replicas);
        if (!elrEnabled && isr.isEmpty()) isr = List.of(replicas.get(0));
        List<Integer> elr = elrEnabled ? someOf(without(replicas, isr)) : List.of();
        int leader = isr.isEmpty() || RANDOM.nextInt(4) == 0 ? -1 : isr.get(RANDOM.nextInt(isr.size()));
        List<Integer> lastKnown = elrEnabled && RANDOM.nextInt(3) == 0
            ? List.of(replicas.get(RANDOM.nextInt(replicas.size()))) : List.of();
        LeaderRecoveryState recovery = RANDOM.nextInt(5) == 0
            ? LeaderRecoveryState.RECOVERING : LeaderRecoveryState.RECOVERED;

        List<Integer> gone = RANDOM.nextInt(3) == 0 ? List.of()
            : List.of(replicas.get(RANDOM.nextInt(replicas.size())));
        List<Integer> targetIsr = without(isr, gone);
        List<Integer> lost = elrEnabled && RANDOM.nextInt(3) == 0 ? gone : List.of();
        int minIsr = 1 + RANDOM.nextInt(3);
        boolean unclean = RANDOM.nextInt(4) == 0;
        List<Integer> alive = without(someOf(List.of(1, 2, 3)), gone);

        Uuid[] directories = new Uuid[replicas.size()];
        java.util.Arrays.fill(directories, Uuid.fromString("2rE_bX9LSDGa9McAsrqeXQ"));
        PartitionRegistration partition = new PartitionRegistration.Builder()
            .setReplicas(array(replicas)).setDirectories(directories).setIsr(array(isr))
            .setElr(array(elr)).setLastKnownElr(array(lastKnown)).setLeader(leader)
            .setLeaderRecoveryState(recovery).setLeaderEpoch(7).setPartitionEpoch(9).build();
        PartitionChangeBuilder builder = new PartitionChangeBuilder(partition, Uuid.ONE_UUID, 0,
            alive::contains, MetadataVersion.IBP_4_3_IV0, minIsr, elrEnabled);
        builder.setDefaultDirProvider(id -> directories[0]);
        builder.setTargetIsr(targetIsr);
        builder.setUncleanShutdownReplicas(lost);
        if (unclean) builder.setElection(PartitionChangeBuilder.Election.UNCLEAN);
        Optional<ApiMessageAndVersion> built = builder.build();
        String change = "none";
        if (built.isPresent()) {
            PartitionChangeRecord record = (PartitionChangeRecord) built.get().message();
            String newLeader = record.leader() == -2 ? "~" : record.leader() == -1 ? "-" : "" + record.leader();
            String newState = record.leaderRecoveryState() == -1 ? "~" : "" + record.leaderRecoveryState();
            change = "isr=" + show(record.isr()) + " leader=" + newLeader + " recovery=" + newState
                + " elr=" + show(record.eligibleLeaderReplicas()) + " last_known_elr=" + show(record.lastKnownElr());
        }
        return "replicas=" + show(replicas) + " isr=" + show(isr) + " elr=" + show(elr)
            + " last_known_elr=" + show(lastKnown) + " leader=" + (leader < 0 ? "-" : "" + leader)
            + " recovery=" + recovery.value()
            + " | isr=" + show(targetIsr) + " lost=" + show(lost) + " min_isr=" + minIsr
            + " elr_enabled=" + elrEnabled + " unclean=" + unclean + " alive=" + show(alive)
            + " | " + change;
    }
}
