import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's command-line tools one after the other in one process, for each would start a Java of its own.
 *
 * <p>A line of its input is a class and its arguments, then what the tool reads, each in base64 and
 * separated by spaces; the answer is a line with all that the tool printed, in base64.
 */
public final class Tools {
    private static final class Ended extends RuntimeException {
    }

    public static void main(String[] unused) throws Exception {
        Exit.setExitProcedure((status, message) -> {
            throw new Ended();
        });
        Exit.setHaltProcedure((status, message) -> {
            throw new Ended();
        });
        PrintStream answers = System.out;
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            String[] words = Arrays.stream(line.split(" ", -1)).map(Tools::decoded).toArray(String[]::new);
            String printed = run(words[0], Arrays.copyOfRange(words, 1, words.length - 1), words[words.length - 1]);
            answers.println(Base64.getEncoder().encodeToString(printed.getBytes(StandardCharsets.UTF_8)));
            answers.flush();
        }
    }

    private static String decoded(String word) {
        return new String(Base64.getDecoder().decode(word), StandardCharsets.UTF_8);
    }

    private static String run(String tool, String[] arguments, String given) throws Exception {
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        PrintStream output = new PrintStream(printed, true, StandardCharsets.UTF_8);
        System.setOut(output);
        System.setErr(output);
        System.setIn(new ByteArrayInputStream(given.getBytes(StandardCharsets.UTF_8)));
        try {
            Class.forName(tool).getMethod("main", String[].class).invoke(null, (Object) arguments);
        } catch (java.lang.reflect.InvocationTargetException error) {
            if (!(error.getCause() instanceof Ended)) {
                error.getCause().printStackTrace(output);
            }
        }
        return printed.toString(StandardCharsets.UTF_8);
    }
}
