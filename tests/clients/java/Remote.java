import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;

/**
 * A producer or a consumer that does what its input says. Values are in base64, words have spaces between.
 *
 * <pre>
 *   producer NAME=VALUE…             its settings
 *   TOKEN TOPIC PARTITION VALUE      send a record; some time: ok TOKEN OFFSET, or error TOKEN WHY
 *
 *   consumer NAME=VALUE…
 *   assign TOPIC:PARTITION:OFFSET…   read from there on
 *   poll MILLISECONDS                record TOPIC PARTITION OFFSET VALUE…; then done, or error WHY
 * </pre>
 *
 * <p>It ends with its input: a producer when all that it sent was answered.
 */
public final class Remote {
    private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    public static void main(String[] arguments) throws Exception {
        Properties settings = new Properties();
        for (int i = 1; i < arguments.length; i++) {
            int sign = arguments[i].indexOf('=');
            settings.put(arguments[i].substring(0, sign), arguments[i].substring(sign + 1));
        }
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        String bytes = "org.apache.kafka.common.serialization.ByteArray";
        if (arguments[0].equals("producer")) {
            settings.put("key.serializer", bytes + "Serializer");
            settings.put("value.serializer", bytes + "Serializer");
            produce(settings, input);
        } else {
            settings.put("key.deserializer", bytes + "Deserializer");
            settings.put("value.deserializer", bytes + "Deserializer");
            consume(settings, input);
        }
    }

    private static void produce(Properties settings, BufferedReader input) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings)) {
            for (String line = input.readLine(); line != null; line = input.readLine()) {
                String[] words = line.split(" ");
                byte[] value = Base64.getDecoder().decode(words[3]);
                ProducerRecord<byte[], byte[]> record =
                        new ProducerRecord<>(words[1], Integer.parseInt(words[2]), null, value);
                producer.send(record, (place, error) -> say(
                        error == null ? "ok " + words[0] + " " + place.offset() : "error " + words[0] + " " + line(error)));
            }
        }
    }

    private static void consume(Properties settings, BufferedReader input) throws Exception {
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
            for (String line = input.readLine(); line != null; line = input.readLine()) {
                String[] words = line.split(" ");
                if (words[0].equals("assign")) {
                    assign(consumer, words);
                } else {
                    poll(consumer, Duration.ofMillis(Long.parseLong(words[1])));
                }
            }
        }
    }

    private static void assign(KafkaConsumer<byte[], byte[]> consumer, String[] words) {
        Map<TopicPartition, Long> places = new LinkedHashMap<>();
        for (int i = 1; i < words.length; i++) {
            String[] parts = words[i].split(":");
            places.put(new TopicPartition(parts[0], Integer.parseInt(parts[1])), Long.parseLong(parts[2]));
        }
        consumer.assign(places.keySet());
        places.forEach(consumer::seek);
    }

    private static void poll(KafkaConsumer<byte[], byte[]> consumer, Duration patience) {
        List<String> lines = new ArrayList<>();
        try {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(patience)) {
                String value = Base64.getEncoder().encodeToString(record.value());
                lines.add("record " + record.topic() + " " + record.partition() + " " + record.offset() + " " + value);
            }
            lines.add("done");
        } catch (KafkaException error) {
            lines.add("error " + line(error));
        }
        say(String.join("\n", lines));
    }

    private static String line(Exception error) {
        return error.toString().replaceAll("\\s+", " ");
    }

    private static synchronized void say(String text) {
        OUT.print(text + "\n");
        OUT.flush();
    }
}
