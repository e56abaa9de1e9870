// Apache Kafka's side of the record batch tests: it writes batches for us to read, and reads ours.
//
//   java -cp 'JARS/*' Batches.java write FOLDER    one file per batch: what it holds, then its bytes
//   java -cp 'JARS/*' Batches.java read FILE       of "NAME HEX" lines: what each batch holds
//   java -cp 'JARS/*' Batches.java validate FILE   of such lines: whether a producer may send each batch
//
// "What it holds" is the text that `describe` in tests/record_batches prints as well.

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.zip.CRC32C;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.utils.BufferSupplier;
import org.apache.kafka.common.utils.ByteBufferOutputStream;
import org.apache.kafka.common.utils.PrimitiveRef;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.storage.internals.log.AppendOrigin;
import org.apache.kafka.storage.internals.log.LogValidator;

public class Batches {
    private static final long TIME = 1_700_000_000_000L;
    private static final int FIELD_BYTES_SHOWN = 32;
    private static final int HEX_BYTES_PER_LINE = 48;

    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "write" -> write(Path.of(arguments[1]));
            case "read" -> read(Path.of(arguments[1]));
            case "validate" -> validate(Path.of(arguments[1]));
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    private static void read(Path file) throws Exception {
        for (String line : Files.readAllLines(file)) {
            System.out.println("== " + name(line));
            System.out.print(describe(MemoryRecords.readableRecords(bytes(line))));
        }
    }

    /** What a partition leader does with a batch from a client: UnifiedLog's checks, then LogValidator's. */
    private static void validate(Path file) throws Exception {
        for (String line : Files.readAllLines(file)) {
            String verdict;
            try {
                verdict = "max_timestamp=" + maxTimestampOfValid(MemoryRecords.readableRecords(bytes(line)));
            } catch (Throwable refused) {
                verdict = "refused: " + refused;
            }
            System.out.println(name(line) + " " + verdict.replace('\n', ' '));
        }
    }

    private static long maxTimestampOfValid(MemoryRecords records) {
        RecordBatch first = records.batches().iterator().next();
        if (first.baseOffset() != 0) {
            throw new InvalidRecordException("base offset");
        }
        first.ensureValid();
        LogValidator validator = new LogValidator(records, new TopicPartition("topic", 0), Time.SYSTEM,
            first.compressionType(), Compression.of(first.compressionType()).build(), false,
            RecordBatch.CURRENT_MAGIC_VALUE, TimestampType.CREATE_TIME, Long.MAX_VALUE, Long.MAX_VALUE, 0,
            AppendOrigin.CLIENT);
        return validator.validateMessagesAndAssignOffsets(
            PrimitiveRef.ofLong(0), new NoMetrics(), BufferSupplier.NO_CACHING).maxTimestampMs();
    }

    private static final class NoMetrics implements LogValidator.MetricsRecorder {
        @Override
        public void recordInvalidMagic() {
        }

        @Override
        public void recordInvalidOffset() {
        }

        @Override
        public void recordInvalidSequence() {
        }

        @Override
        public void recordInvalidChecksums() {
        }

        @Override
        public void recordNoKeyCompactedTopic() {
        }
    }

    private static String name(String line) {
        return line.substring(0, line.indexOf(' '));
    }

    private static ByteBuffer bytes(String line) {
        return ByteBuffer.wrap(HexFormat.of().parseHex(line.substring(line.indexOf(' ') + 1)));
    }

    private static void write(Path folder) throws Exception {
        for (Compression compression : List.of(
                Compression.NONE,
                Compression.gzip().build(),
                Compression.snappy().build(),
                Compression.lz4().build(),
                Compression.zstd().build())) {
            String codec = compression.type().name;
            save(folder, codec, "three records, compressed with " + codec, few(compression));
            if (!codec.equals("none")) {
                save(folder, codec + "_large", "several blocks of " + codec, large(compression));
            }
        }
        save(folder, "gzip_level_9", "the level changes bytes, not the format",
            few(Compression.gzip().level(9).build()));
        save(folder, "lz4_level_17", "the level changes bytes, not the format",
            few(Compression.lz4().level(17).build()));
        save(folder, "zstd_level_22", "the level asks for the largest window",
            few(Compression.zstd().level(22).build()));
        save(folder, "nulls", "null and empty keys, values and header values", nulls());
        save(folder, "no_timestamp", "records without timestamps", noTimestamp());
        save(folder, "log_append_time", "one timestamp, the broker's, for all", logAppendTime());
        save(folder, "idempotent", "producer id, epoch and a sequence that wraps", idempotent());
        save(folder, "transactional", "records of a transaction", transactional());
        save(folder, "commit", "the marker that commits it", marker(ControlRecordType.COMMIT));
        save(folder, "abort", "the marker that aborts it", marker(ControlRecordType.ABORT));
        save(folder, "leader_change", "a KRaft control record", leaderChange());
        save(folder, "compacted", "offsets with gaps, and a delete horizon", compacted());
        save(folder, "emptied", "what compaction leaves of a batch without records", emptied());
    }

    private static MemoryRecords few(Compression compression) {
        MemoryRecordsBuilder builder = builder(compression, 7L, RecordBatch.NO_PRODUCER_ID,
            RecordBatch.NO_PRODUCER_EPOCH, RecordBatch.NO_SEQUENCE, false, 5);
        for (int index = 0; index < 3; index++) {
            builder.append(TIME + 10 * index, utf8("key-" + index), utf8("the value ".repeat(9) + index),
                new Header[] {new RecordHeader("trace", new byte[] {1, 2, (byte) index})});
        }
        return builder.build();
    }

    private static MemoryRecords large(Compression compression) {
        MemoryRecordsBuilder builder = builder(compression, 0L, RecordBatch.NO_PRODUCER_ID,
            RecordBatch.NO_PRODUCER_EPOCH, RecordBatch.NO_SEQUENCE, false, 0);
        Random random = new Random(7);
        byte[] noise = new byte[256];
        random.nextBytes(noise);
        for (int index = 0; index < 10; index++) {
            // Noise that repeats: compressible over distances of many blocks, and small as a file.
            byte[] value = new byte[20_000];
            for (int at = 0; at < value.length; at++) {
                value[at] = noise[(at + index) % noise.length];
            }
            builder.append(TIME - index, utf8("key-" + index), value);
        }
        return builder.build();
    }

    private static MemoryRecords nulls() {
        MemoryRecordsBuilder builder = builder(Compression.NONE, 0L, RecordBatch.NO_PRODUCER_ID,
            RecordBatch.NO_PRODUCER_EPOCH, RecordBatch.NO_SEQUENCE, false, -1);
        builder.append(TIME, (byte[]) null, (byte[]) null);
        builder.append(TIME, new byte[0], new byte[0]);
        builder.append(TIME, utf8("k"), null, new Header[] {
            new RecordHeader("null", (byte[]) null), new RecordHeader("", new byte[0]),
            new RecordHeader("\u00fc", utf8("v"))});
        return builder.build();
    }

    private static MemoryRecords noTimestamp() {
        MemoryRecordsBuilder builder = builder(Compression.NONE, 0L, RecordBatch.NO_PRODUCER_ID,
            RecordBatch.NO_PRODUCER_EPOCH, RecordBatch.NO_SEQUENCE, false, -1);
        builder.append(RecordBatch.NO_TIMESTAMP, utf8("k"), utf8("v"));
        builder.append(RecordBatch.NO_TIMESTAMP, utf8("l"), utf8("w"));
        return builder.build();
    }

    private static MemoryRecords logAppendTime() {
        MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(1024),
            RecordBatch.CURRENT_MAGIC_VALUE, Compression.NONE, TimestampType.LOG_APPEND_TIME, 3L, TIME);
        builder.append(1L, utf8("k"), utf8("v"));
        builder.append(2L, utf8("l"), utf8("w"));
        return builder.build();
    }

    private static MemoryRecords idempotent() {
        MemoryRecordsBuilder builder =
            builder(Compression.NONE, 0L, 4242L, (short) 3, Integer.MAX_VALUE - 1, false, -1);
        for (int index = 0; index < 4; index++) {
            builder.append(TIME, utf8("k"), utf8("v" + index));
        }
        return builder.build();
    }

    private static MemoryRecords transactional() {
        MemoryRecordsBuilder builder = builder(Compression.lz4().build(), 100L, 77L, (short) 1, 0, true, 9);
        builder.append(TIME, utf8("k"), utf8("v"));
        builder.append(TIME + 1, utf8("l"), utf8("w"));
        return builder.build();
    }

    private static MemoryRecords marker(ControlRecordType type) {
        return MemoryRecords.withEndTransactionMarker(
            102L, TIME, 9, 77L, (short) 1, new EndTransactionMarker(type, 12));
    }

    private static MemoryRecords leaderChange() {
        LeaderChangeMessage.Voter voter = new LeaderChangeMessage.Voter().setVoterId(1);
        LeaderChangeMessage message = new LeaderChangeMessage().setLeaderId(1)
            .setVoters(List.of(voter)).setGrantingVoters(List.of(voter));
        return MemoryRecords.withLeaderChangeMessage(0L, TIME, 1, ByteBuffer.allocate(256), message);
    }

    private static MemoryRecords compacted() {
        MemoryRecordsBuilder builder = new MemoryRecordsBuilder(new ByteBufferOutputStream(1024),
            RecordBatch.CURRENT_MAGIC_VALUE, Compression.NONE, TimestampType.CREATE_TIME, 50L,
            RecordBatch.NO_TIMESTAMP, RecordBatch.NO_PRODUCER_ID, RecordBatch.NO_PRODUCER_EPOCH,
            RecordBatch.NO_SEQUENCE, false, false, 2, 1024, TIME + 86_400_000L);
        builder.appendWithOffset(52L, TIME, utf8("k"), (byte[]) null);
        builder.appendWithOffset(57L, TIME + 5, utf8("l"), utf8("w"));
        builder.overrideLastOffset(60L);
        return builder.build();
    }

    private static MemoryRecords emptied() {
        ByteBuffer buffer = ByteBuffer.allocate(DefaultRecordBatch.RECORD_BATCH_OVERHEAD);
        DefaultRecordBatch.writeEmptyHeader(buffer, RecordBatch.CURRENT_MAGIC_VALUE, 77L, (short) 1, 4,
            200L, 209L, 6, TimestampType.CREATE_TIME, TIME, false, false);
        buffer.flip();
        return MemoryRecords.readableRecords(buffer);
    }

    private static MemoryRecordsBuilder builder(Compression compression, long baseOffset, long producerId,
            short producerEpoch, int baseSequence, boolean isTransactional, int leaderEpoch) {
        return MemoryRecords.builder(ByteBuffer.allocate(1024), RecordBatch.CURRENT_MAGIC_VALUE,
            compression, TimestampType.CREATE_TIME, baseOffset, RecordBatch.NO_TIMESTAMP, producerId,
            producerEpoch, baseSequence, isTransactional, leaderEpoch);
    }

    private static void save(Path folder, String name, String comment, MemoryRecords records)
            throws Exception {
        StringBuilder text = new StringBuilder("# Written by Apache Kafka: " + comment + ".\n");
        text.append(describe(records));
        text.append("bytes\n");
        byte[] bytes = new byte[records.sizeInBytes()];
        records.buffer().get(bytes);
        for (int at = 0; at < bytes.length; at += HEX_BYTES_PER_LINE) {
            int end = Math.min(at + HEX_BYTES_PER_LINE, bytes.length);
            text.append(HexFormat.of().formatHex(bytes, at, end)).append('\n');
        }
        Files.writeString(folder.resolve(name + ".txt"), text);
    }

    private static String describe(MemoryRecords records) {
        StringBuilder text = new StringBuilder();
        for (MutableRecordBatch each : records.batches()) {
            DefaultRecordBatch batch = (DefaultRecordBatch) each;
            batch.ensureValid();
            text.append("batch offsets=").append(batch.baseOffset()).append("..=").append(batch.lastOffset())
                .append(" leader_epoch=").append(batch.partitionLeaderEpoch())
                .append(" codec=").append(batch.compressionType().name)
                .append(" timestamp_type=").append(batch.timestampType().name)
                .append(" base_timestamp=").append(batch.baseTimestamp())
                .append(" max_timestamp=").append(batch.maxTimestamp())
                .append(" producer=").append(batch.producerId()).append('/').append(batch.producerEpoch())
                .append(" sequences=").append(batch.baseSequence()).append("..=").append(batch.lastSequence())
                .append(" transactional=").append(batch.isTransactional())
                .append(" control=").append(batch.isControlBatch())
                .append(" delete_horizon=").append(batch.deleteHorizonMs().isPresent())
                .append(" records=").append(batch.countOrNull()).append('\n');
            for (Record record : batch) {
                text.append("record offset=").append(record.offset())
                    .append(" timestamp=").append(record.timestamp())
                    .append(" key=").append(field(record.key()))
                    .append(" value=").append(field(record.value()));
                List<String> headers = new ArrayList<>();
                for (Header header : record.headers()) {
                    byte[] value = header.value();
                    headers.add(field(ByteBuffer.wrap(utf8(header.key()))) + ":"
                        + field(value == null ? null : ByteBuffer.wrap(value)));
                }
                text.append(" headers=").append(String.join(",", headers)).append('\n');
            }
        }
        return text.toString();
    }

    private static String field(ByteBuffer field) {
        if (field == null) {
            return "null";
        }
        byte[] bytes = new byte[field.remaining()];
        field.duplicate().get(bytes);
        if (bytes.length <= FIELD_BYTES_SHOWN) {
            return "x" + HexFormat.of().formatHex(bytes);
        }
        CRC32C crc = new CRC32C();
        crc.update(bytes);
        return bytes.length + "b" + String.format("%08x", crc.getValue());
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
