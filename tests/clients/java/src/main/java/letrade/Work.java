package letrade;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Files;
import java.nio.file.Path;

/** What consumers do with a message: see ../../../../../../programs/work.py. */
public final class Work {
    static final int FAILS = 100;
    static final int FOR_GOOD = 150;
    static final int HOLDS = 200;

    private Work() {}

    public static final class CannotHandle extends Exception {}

    public static int number(byte[] body) throws Exception {
        return new ObjectMapper().readTree(body).get("payload").get("number").asInt();
    }

    public static void work(int number) throws Exception {
        say("got " + number);
        if (number >= FAILS && number < HOLDS) {
            throw new CannotHandle();
        }
        while (number >= HOLDS && !Files.exists(Path.of(System.getenv("LETRADE_GO")))) {
            Thread.sleep(20);
        }
        say("did " + number);
    }

    public static synchronized void say(String text) {
        System.out.println(text);
        System.out.flush();
    }
}
