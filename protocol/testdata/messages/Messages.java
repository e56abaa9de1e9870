// Apache Kafka's side of the message tests: every message and record, in every version, as its own
// generated classes write it.
//
//   java -cp 'JARS/*' Messages.java FOLDER    one file per API or family of records
//
// A line is "NAME VERSION VARIANT HEX". `default` is what the constructor gives; `filled` has a value
// in every field that the version has; `sparse` has null or nothing wherever the version allows it
// by the toss of a seeded coin. A default that the version cannot carry has no line.

import java.lang.reflect.Method;
import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.message.ConsumerProtocolAssignment;
import org.apache.kafka.common.message.ConsumerProtocolSubscription;
import org.apache.kafka.common.message.ControlRecordTypeSchema;
import org.apache.kafka.common.message.DefaultPrincipalData;
import org.apache.kafka.common.message.EndTxnMarker;
import org.apache.kafka.common.message.KRaftVersionRecord;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.message.SnapshotFooterRecord;
import org.apache.kafka.common.message.SnapshotHeaderRecord;
import org.apache.kafka.common.message.VotersRecord;
import org.apache.kafka.common.metadata.MetadataRecordType;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Field;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.BaseRecords;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.raft.generated.QuorumStateData;
import org.apache.kafka.server.log.remote.metadata.storage.generated.ProducerSnapshot;

public class Messages {
    private static final List<String> TEXTS = List.of("a", "orders", "ключ", "木🦀", "");

    private final Map<String, StringBuilder> files = new TreeMap<>();

    public static void main(String[] arguments) throws Exception {
        Messages messages = new Messages();
        messages.addAll();
        Path folder = Path.of(arguments[0]);
        for (Map.Entry<String, StringBuilder> file : messages.files.entrySet()) {
            Files.writeString(folder.resolve(file.getKey() + ".txt"), file.getValue());
        }
        StringBuilder errors = new StringBuilder();
        for (Errors error : Errors.values()) {
            boolean retriable = error.exception() instanceof RetriableException;
            errors.append("%d %s %s\n".formatted(
                    error.code(), error.name(), retriable ? "retriable" : "fatal"));
        }
        Files.writeString(folder.resolve("errors.txt"), errors);
    }

    private void addAll() throws Exception {
        for (ApiMessageType api : ApiMessageType.values()) {
            if (api.lowestSupportedVersion() > api.highestSupportedVersion(true)) {
                continue; // Kafka removed it.
            }
            String file = snakeCase(api.name);
            add(file, api::newRequest);
            add(file, api::newResponse);
        }
        add("header", RequestHeaderData::new);
        add("header", ResponseHeaderData::new);
        for (MetadataRecordType type : MetadataRecordType.values()) {
            add("metadata_records", type::newMetadataRecord);
        }
        addCoordinators();
        for (var type : org.apache.kafka.server.log.remote.metadata.storage.generated
                .MetadataRecordType.values()) {
            add("remote_log_records", type::newMetadataRecord);
        }
        add("data", ConsumerProtocolAssignment::new);
        add("data", ConsumerProtocolSubscription::new);
        add("data", ControlRecordTypeSchema::new);
        add("data", DefaultPrincipalData::new);
        add("data", EndTxnMarker::new);
        add("data", KRaftVersionRecord::new);
        add("data", LeaderChangeMessage::new);
        add("data", ProducerSnapshot::new);
        add("data", QuorumStateData::new);
        add("data", SnapshotFooterRecord::new);
        add("data", SnapshotHeaderRecord::new);
        add("data", VotersRecord::new);
    }

    private void addCoordinators() throws Exception {
        for (var type : org.apache.kafka.coordinator.group.generated.CoordinatorRecordType.values()) {
            add("group_records", type::newRecordKey);
            add("group_records", type::newRecordValue);
        }
        for (var type : org.apache.kafka.coordinator.transaction.generated.CoordinatorRecordType
                .values()) {
            add("transaction_records", type::newRecordKey);
            add("transaction_records", type::newRecordValue);
        }
        for (var type : org.apache.kafka.coordinator.share.generated.CoordinatorRecordType.values()) {
            add("share_records", type::newRecordKey);
            add("share_records", type::newRecordValue);
        }
    }

    private void add(String file, Supplier<? extends Message> maker) throws Exception {
        Message first = maker.get();
        String name = first.getClass().getSimpleName().replaceAll("(Request|Response|Header)Data$", "$1");
        for (short version = first.lowestSupportedVersion();
                version <= first.highestSupportedVersion();
                version++) {
            addLine(file, name, version, "default", maker.get());
            Message filled = maker.get();
            fill(filled, version, new Values(new Random(version), false));
            addLine(file, name, version, "filled", filled);
            Message sparse = maker.get();
            fill(sparse, version, new Values(new Random(100 + version), true));
            addLine(file, name, version, "sparse", sparse);
        }
    }

    private void addLine(String file, String name, short version, String variant, Message message) {
        ByteBuffer bytes;
        try {
            bytes = MessageUtil.toByteBufferAccessor(message, version).buffer();
        } catch (RuntimeException refused) {
            if (variant.equals("default")) {
                return;
            }
            throw new IllegalStateException(name + " " + version + " " + variant, refused);
        }
        byte[] array = new byte[bytes.remaining()];
        bytes.get(array);
        files.computeIfAbsent(file, unused -> new StringBuilder())
                .append("%s %d %s %s\n".formatted(
                        name, version, variant, HexFormat.of().formatHex(array)));
    }

    /** Sets every field that `version` has: its schema says which these are. */
    private static void fill(Object target, short version, Values values) throws Exception {
        Schema[] schemas = (Schema[]) target.getClass().getField("SCHEMAS").get(null);
        for (BoundField bound : schemas[version].fields()) {
            if (bound.def.type instanceof TaggedFields tagged) {
                for (Field field : new TreeMap<>(tagged.fields()).values()) {
                    set(target, field, version, values);
                }
            } else {
                set(target, bound.def, version, values);
            }
        }
    }

    private static void set(Object target, Field field, short version, Values values)
            throws Exception {
        for (Method setter : target.getClass().getMethods()) {
            String name = setter.getName();
            if (name.startsWith("set") && snakeCase(name.substring(3)).equals(field.name)) {
                setter.invoke(target, values.of(setter, field.type, version));
                return;
            }
        }
        throw new IllegalStateException(target.getClass() + " has no setter for " + field.name);
    }

    private static String snakeCase(String name) {
        return name.replace("KRaft", "Kraft").replaceAll("(?<!^)([A-Z])", "_$1").toLowerCase();
    }

    /** Draws values from a seed. */
    private record Values(Random random, boolean sparse) {
        Object of(Method setter, Type type, short version) throws Exception {
            if (sparse && type.isNullable() && random.nextBoolean()) {
                return null;
            }
            Class<?> wanted = setter.getParameterTypes()[0];
            if (Collection.class.isAssignableFrom(wanted)) {
                return list(setter, wanted, type, version);
            }
            return single(wanted, type, version);
        }

        private Object list(Method setter, Class<?> wanted, Type type, short version)
                throws Exception {
            java.lang.reflect.Type generic = wanted == List.class
                    ? setter.getGenericParameterTypes()[0]
                    : wanted.getGenericSuperclass();
            Class<?> element = (Class<?>) ((ParameterizedType) generic).getActualTypeArguments()[0];
            @SuppressWarnings("unchecked")
            Collection<Object> list = wanted == List.class
                    ? new ArrayList<>()
                    : (Collection<Object>) wanted.getConstructor().newInstance();
            int count = sparse ? random.nextInt(3) : 1 + random.nextInt(2);
            for (int index = 0; index < count; index++) {
                list.add(single(element, type.arrayElementType().orElseThrow(), version));
            }
            return list;
        }

        private Object single(Class<?> wanted, Type type, short version) throws Exception {
            boolean zero = sparse && random.nextInt(4) == 0;
            long number = zero ? 0 : random.nextLong() >> random.nextInt(64);
            if (wanted == boolean.class || wanted == Boolean.class) {
                return !zero && random.nextBoolean();
            } else if (wanted == byte.class || wanted == Byte.class) {
                return (byte) number;
            } else if (wanted == short.class || wanted == Short.class) {
                return (short) number;
            } else if (wanted == int.class || wanted == Integer.class) {
                return type == Type.UINT16 ? (int) (number & 0xffff) : (int) number;
            } else if (wanted == long.class || wanted == Long.class) {
                return type == Type.UNSIGNED_INT32 ? number & 0xffffffffL : number;
            } else if (wanted == double.class) {
                return (double) (int) number;
            } else if (wanted == String.class) {
                return zero ? "" : TEXTS.get(random.nextInt(TEXTS.size()));
            } else if (wanted == Uuid.class) {
                return zero ? Uuid.ZERO_UUID : new Uuid(random.nextLong(), number);
            } else if (wanted == byte[].class) {
                return bytes(zero);
            } else if (wanted == ByteBuffer.class) {
                return ByteBuffer.wrap(bytes(zero));
            } else if (BaseRecords.class.isAssignableFrom(wanted)) {
                return MemoryRecords.readableRecords(ByteBuffer.wrap(bytes(zero)));
            }
            Object structure = wanted.getConstructor().newInstance();
            fill(structure, version, this);
            return structure;
        }

        private byte[] bytes(boolean empty) {
            byte[] bytes = new byte[empty ? 0 : random.nextInt(9)];
            random.nextBytes(bytes);
            return bytes;
        }
    }
}
