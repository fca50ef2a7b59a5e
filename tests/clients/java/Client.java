import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.protocol.Errors;

/** What the Java client sees of a broker. See ../scenarios.py for the commands and what they print. */
public final class Client {
    private static final int RECORD_COUNT = 10;
    private static final Duration PATIENCE = Duration.ofSeconds(30);
    private static final Duration POLL = Duration.ofMillis(200);

    private interface Scenario {
        Map<String, Object> run(String broker, String topic) throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("member")) {
            member(arguments[1], arguments[2], arguments[3]);
            return;
        }
        for (String wanted : Arrays.asList(arguments).subList(3, arguments.length)) {
            report(wanted, arguments[1], arguments[2] + "-" + wanted);
        }
    }

    private static void report(String wanted, String broker, String topic) {
        Scenario scenario = scenarios().get(wanted);
        if (scenario == null) {
            emit(values("scenario", wanted, "unsupported", "no such scenario in this client"));
            return;
        }
        try {
            emit(values("scenario", wanted, "observed", scenario.run(broker, topic)));
        } catch (Exception error) {
            emit(values("scenario", wanted, "error", error.toString()));
        }
    }

    private static Map<String, Scenario> scenarios() {
        Map<String, Scenario> found = new TreeMap<>();
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            found.put("produce-" + codec, (broker, topic) -> produceWith(broker, topic, codec));
        }
        found.put("records", Client::records);
        found.put("earliest", (broker, topic) -> readFrom(broker, topic, 0));
        found.put("offset", (broker, topic) -> readFrom(broker, topic, 7));
        found.put("latest", Client::latest);
        found.put("timestamp", Client::timestamp);
        found.put("idempotent", Client::idempotent);
        found.put("admin-topics", Client::adminTopics);
        found.put("admin-configs", Client::adminConfigs);
        found.put("admin-groups", Client::adminGroups);
        found.put("admin-records", Client::adminRecords);
        return found;
    }

    // Clients

    private static Admin admin(String broker) {
        return Admin.create(settings(broker));
    }

    private static Properties settings(String broker) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", broker);
        settings.put("enable.metrics.push", "false");
        return settings;
    }

    private static KafkaProducer<String, String> producer(String broker, String codec) {
        Properties settings = settings(broker);
        settings.put("compression.type", codec);
        settings.put("key.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        settings.put("value.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        return new KafkaProducer<>(settings);
    }

    private static KafkaConsumer<String, String> consumer(String broker, String group, String reset) {
        Properties settings = settings(broker);
        if (group != null) {
            settings.put("group.id", group);
        }
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", reset);
        settings.put("session.timeout.ms", "6000");
        settings.put("heartbeat.interval.ms", "500");
        settings.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer.RangeAssignor");
        settings.put("key.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        settings.put("value.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        return new KafkaConsumer<>(settings);
    }

    private static void create(String broker, String topic, int partitions) throws Exception {
        try (Admin admin = admin(broker)) {
            admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all().get();
        }
    }

    private static List<Long> produce(String broker, String codec, List<ProducerRecord<String, String>> made)
            throws Exception {
        List<Long> offsets = new ArrayList<>();
        try (KafkaProducer<String, String> producer = producer(broker, codec)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            made.forEach(record -> sent.add(producer.send(record)));
            for (Future<RecordMetadata> each : sent) {
                offsets.add(each.get().offset());
            }
        }
        return offsets;
    }

    private static List<ProducerRecord<String, String>> numbered(String topic) {
        List<ProducerRecord<String, String>> made = new ArrayList<>();
        for (int i = 0; i < RECORD_COUNT; i++) {
            made.add(new ProducerRecord<>(topic, 0, 1_000_000L + 1000L * i, "k" + i, "v" + i));
        }
        return made;
    }

    private static List<ConsumerRecord<String, String>> poll(KafkaConsumer<String, String> consumer, int count) {
        List<ConsumerRecord<String, String>> got = new ArrayList<>();
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (got.size() < count) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("only " + got.size() + " of " + count + " records came");
            }
            consumer.poll(POLL).forEach(got::add);
        }
        return got;
    }

    private static List<String> read(String broker, String topic, long offset, int count) {
        try (KafkaConsumer<String, String> consumer = consumer(broker, null, "earliest")) {
            TopicPartition partition = new TopicPartition(topic, 0);
            consumer.assign(List.of(partition));
            if (offset > 0) {
                consumer.seek(partition, offset);
            }
            return texts(poll(consumer, count));
        }
    }

    private static List<String> texts(List<ConsumerRecord<String, String>> got) {
        List<String> found = new ArrayList<>();
        got.forEach(record -> found.add(record.value()));
        return found;
    }

    // Scenarios

    private static Map<String, Object> produceWith(String broker, String topic, String codec) throws Exception {
        create(broker, topic, 1);
        List<Long> offsets = produce(broker, codec, numbered(topic));
        return values("offsets", offsets, "read", read(broker, topic, 0, RECORD_COUNT));
    }

    private static Map<String, Object> records(String broker, String topic) throws Exception {
        create(broker, topic, 1);
        ProducerRecord<String, String> full = new ProducerRecord<>(topic, 0, 1_234_567L, "", "");
        full.headers().add("h", "1".getBytes()).add("h", "2".getBytes());
        produce(broker, "none", List.of(
                new ProducerRecord<>(topic, 0, 1_234_567L, null, "no key"),
                new ProducerRecord<>(topic, 0, 1_234_567L, "gone", (String) null),
                full));
        List<Object> seen = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer = consumer(broker, null, "earliest")) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            for (ConsumerRecord<String, String> record : poll(consumer, 3)) {
                List<Object> headers = new ArrayList<>();
                for (Header header : record.headers()) {
                    headers.add(List.of(header.key(), new String(header.value())));
                }
                seen.add(values("key", record.key(), "value", record.value(),
                        "timestamp", record.timestamp(), "headers", headers));
            }
        }
        return values("records", seen);
    }

    private static Map<String, Object> readFrom(String broker, String topic, int offset) throws Exception {
        create(broker, topic, 1);
        produce(broker, "none", numbered(topic));
        return values("read", read(broker, topic, offset, RECORD_COUNT - offset));
    }

    private static Map<String, Object> latest(String broker, String topic) throws Exception {
        create(broker, topic, 1);
        produce(broker, "none", numbered(topic));
        try (KafkaConsumer<String, String> consumer = consumer(broker, null, "latest")) {
            TopicPartition partition = new TopicPartition(topic, 0);
            consumer.assign(List.of(partition));
            long end = consumer.position(partition);
            produce(broker, "none", List.of(new ProducerRecord<>(topic, 0, null, "new")));
            return values("end", end, "read", texts(poll(consumer, 1)));
        }
    }

    private static Map<String, Object> timestamp(String broker, String topic) throws Exception {
        create(broker, topic, 1);
        produce(broker, "none", numbered(topic));
        TopicPartition partition = new TopicPartition(topic, 0);
        List<Object> offsets = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer = consumer(broker, null, "earliest")) {
            for (long when : new long[] {0, 1_002_500, 1_009_000, 9_999_999}) {
                OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(partition, when)).get(partition);
                offsets.add(found == null ? null : found.offset());
            }
            consumer.assign(List.of(partition));
            consumer.seek(partition, (Long) offsets.get(1));
            return values("offsets", offsets, "first", poll(consumer, 1).get(0).value());
        }
    }

    private static long end(String broker, String topic) throws Exception {
        TopicPartition partition = new TopicPartition(topic, 0);
        try (Admin admin = admin(broker)) {
            return admin.listOffsets(Map.of(partition, OffsetSpec.latest())).partitionResult(partition).get().offset();
        }
    }

    private static Map<String, Object> idempotent(String broker, String topic) throws Exception {
        create(broker, topic, 1);
        try (KafkaProducer<String, String> producer = producer(broker, "none")) {
            for (ProducerRecord<String, String> record : numbered(topic)) {
                producer.send(record).get();
            }
        }
        return values("read", read(broker, topic, 0, RECORD_COUNT), "end", end(broker, topic));
    }

    private static int code(KafkaFuture<?> answer) throws InterruptedException {
        try {
            answer.get();
            return 0;
        } catch (ExecutionException error) {
            return Errors.forException(error.getCause()).code();
        }
    }

    private static int partitionCount(Admin admin, String topic) throws Exception {
        return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
    }

    private static Map<String, Object> adminTopics(String broker, String topic) throws Exception {
        try (Admin admin = admin(broker)) {
            admin.createTopics(List.of(new NewTopic(topic, 3, (short) 1))).all().get();
            int created = partitionCount(admin, topic);
            int again = code(admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all());
            int invalid = code(admin.createTopics(List.of(new NewTopic("not a name", 1, (short) 1))).all());
            int copies = code(admin.createTopics(List.of(new NewTopic(topic + "-copies", 1, (short) 3))).all());
            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get();
            int grown = partitionCount(admin, topic);
            int shrunk = code(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all());
            admin.deleteTopics(List.of(topic)).all().get();
            int missing = code(admin.deleteTopics(List.of(topic)).all());
            return values("created", created, "again", again, "invalid", invalid, "copies", copies,
                    "grown", grown, "shrunk", shrunk, "missing", missing);
        }
    }

    private static List<String> retention(Admin admin, ConfigResource resource) throws Exception {
        ConfigEntry entry = admin.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms");
        // The library's name of a source is not the protocol's.
        return List.of(entry.value(), entry.source().name());
    }

    private static KafkaFuture<Void> alter(Admin admin, ConfigResource resource, String name, String value) {
        AlterConfigOp change = new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET);
        return admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all();
    }

    private static Map<String, Object> adminConfigs(String broker, String topic) throws Exception {
        create(broker, topic, 1);
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        try (Admin admin = admin(broker)) {
            List<String> before = retention(admin, resource);
            alter(admin, resource, "retention.ms", "12345").get();
            List<String> after = retention(admin, resource);
            int malformed = code(alter(admin, resource, "retention.ms", "soon"));
            int unknown = code(alter(admin, resource, "no.such.config", "1"));
            return values("before", before, "after", after, "malformed", malformed, "unknown", unknown);
        }
    }

    private static Map<String, Object> adminGroups(String broker, String topic) throws Exception {
        create(broker, topic, 1);
        produce(broker, "none", numbered(topic));
        String group = topic + "-group";
        List<String> groups = List.of(group);
        try (Admin admin = admin(broker)) {
            List<Object> stable;
            int busy;
            try (KafkaConsumer<String, String> consumer = consumer(broker, group, "earliest")) {
                consumer.subscribe(List.of(topic));
                poll(consumer, RECORD_COUNT);
                consumer.commitSync();
                var described = admin.describeConsumerGroups(groups).all().get().get(group);
                stable = List.of(described.groupState().toString(), described.members().size());
                busy = code(admin.deleteConsumerGroups(groups).all());
            }
            String empty = admin.describeConsumerGroups(groups).all().get().get(group).groupState().toString();
            boolean listed = admin.listGroups().all().get().stream().anyMatch(each -> each.groupId().equals(group));
            long committed = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get()
                    .get(new TopicPartition(topic, 0)).offset();
            admin.deleteConsumerGroups(groups).all().get();
            int gone = code(admin.deleteConsumerGroups(groups).all());
            return values("stable", stable, "busy", busy, "empty", empty, "listed", listed,
                    "committed", committed, "gone", gone);
        }
    }

    private static Map<String, Object> adminRecords(String broker, String topic) throws Exception {
        create(broker, topic, 1);
        produce(broker, "none", numbered(topic));
        TopicPartition partition = new TopicPartition(topic, 0);
        try (Admin admin = admin(broker)) {
            long low = admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(4)))
                    .lowWatermarks().get(partition).get().lowWatermark();
            int beyond = code(admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(99))).all());
            long start = admin.listOffsets(Map.of(partition, OffsetSpec.earliest()))
                    .partitionResult(partition).get().offset();
            return values("low_watermark", low, "beyond", beyond, "start", start,
                    "first", read(broker, topic, 0, 1).get(0));
        }
    }

    // A member of a group: tells its partitions and what it reads, and leaves when its input ends.

    private static void member(String broker, String topic, String group) throws IOException {
        KafkaConsumer<String, String> consumer = consumer(broker, group, "earliest");
        Thread ending = new Thread(() -> {
            try {
                System.in.read();
            } catch (IOException error) {
                throw new IllegalStateException(error);
            } finally {
                consumer.wakeup();
            }
        });
        ending.setDaemon(true);
        ending.start();
        consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            }

            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                List<Object> assigned = new ArrayList<>();
                partitions.stream().mapToInt(TopicPartition::partition).sorted().forEach(assigned::add);
                emit(values("assigned", assigned));
            }
        });
        try {
            while (true) {
                List<ConsumerRecord<String, String>> got = poll(consumer);
                if (!got.isEmpty()) {
                    consumer.commitSync();
                    emit(values("read", texts(got)));
                }
            }
        } catch (WakeupException asked) {
            consumer.close();
            emit(values("left", true));
        }
    }

    private static List<ConsumerRecord<String, String>> poll(KafkaConsumer<String, String> consumer) {
        List<ConsumerRecord<String, String>> got = new ArrayList<>();
        consumer.poll(Duration.ofSeconds(1)).forEach(got::add);
        return got;
    }

    // JSON

    private static Map<String, Object> values(Object... pairs) {
        Map<String, Object> found = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) {
            found.put((String) pairs[i], pairs[i + 1]);
        }
        return found;
    }

    private static synchronized void emit(Map<String, Object> line) {
        System.out.println(json(line));
        System.out.flush();
    }

    private static String json(Object value) {
        if (value instanceof Map<?, ?> map) {
            List<String> parts = new ArrayList<>();
            map.forEach((key, inner) -> parts.add(json(key) + ":" + json(inner)));
            return "{" + String.join(",", parts) + "}";
        }
        if (value instanceof List<?> list) {
            List<String> parts = new ArrayList<>();
            list.forEach(inner -> parts.add(json(inner)));
            return "[" + String.join(",", parts) + "]";
        }
        if (value instanceof String text) {
            return "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + "\"";
        }
        return String.valueOf(value);
    }
}
