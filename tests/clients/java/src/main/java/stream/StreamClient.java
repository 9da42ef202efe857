package stream;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import letrade.Work;
import org.springframework.amqp.rabbit.connection.CorrelationData;
import org.springframework.amqp.support.AmqpHeaders;
import org.springframework.boot.ApplicationRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.cloud.stream.function.StreamBridge;
import org.springframework.context.annotation.Bean;
import org.springframework.messaging.support.MessageBuilder;

/**
 * Spring Cloud Stream with its binder for RabbitMQ, as its documentation has it: a function that consumes, and a
 * StreamBridge that publishes.
 *
 * <p>consume URL GROUP [line] | publish URL EXCHANGE plain|confirms
 */
@SpringBootApplication
public class StreamClient {
    private static final String CONSUMER = "spring.cloud.stream.rabbit.bindings.onOrder-in-0.consumer.";
    private static final String PRODUCER = "spring.cloud.stream.rabbit.default.producer.";

    public static void main(String[] given) {
        List<String> settings = new ArrayList<>(List.of(
                "--spring.main.banner-mode=off",
                "--spring.main.web-application-type=none",
                "--spring.rabbitmq.addresses=" + given[1],
                "--role=" + given[0],
                "--confirms=" + List.of(given).contains("confirms")));
        if (given[0].equals("consume")) {
            settings.add("--spring.cloud.function.definition=onOrder");
            settings.add("--spring.cloud.stream.bindings.onOrder-in-0.destination=orders");
            settings.add("--spring.cloud.stream.bindings.onOrder-in-0.group=" + given[2]);
            settings.add("--" + CONSUMER + "binding-routing-key=order.stream");
            if (List.of(given).contains("line")) {
                settings.add("--" + CONSUMER + "republish-to-dlq=false");
                settings.add("--spring.cloud.stream.bindings.onOrder-in-0.consumer.max-attempts=1");
            }
        } else {
            settings.add("--" + PRODUCER + "routing-key-expression=headers['key']");
            if (List.of(given).contains("confirms")) {
                settings.add("--spring.rabbitmq.publisher-confirm-type=correlated");
                settings.add("--" + PRODUCER + "use-confirm-header=true");
            }
        }
        new SpringApplication(StreamClient.class).run(settings.toArray(new String[0]));
    }

    @Bean
    @ConditionalOnProperty(name = "role", havingValue = "consume")
    Consumer<byte[]> onOrder() {
        return body -> {
            try {
                Work.work(Work.number(body));
            } catch (Exception cannot) {
                throw new IllegalStateException(cannot);
            }
        };
    }

    @Bean
    @ConditionalOnProperty(name = "role", havingValue = "consume")
    ApplicationRunner ready() {
        return given -> Work.say("ready");
    }

    @Bean
    @ConditionalOnProperty(name = "role", havingValue = "publish")
    ApplicationRunner publish(
            StreamBridge bridge,
            @org.springframework.beans.factory.annotation.Value("${confirms}") boolean confirms) {
        return given -> {
            Work.say("ready");
            BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                int space = line.indexOf(' ');
                MessageBuilder<byte[]> order = MessageBuilder.withPayload(line.substring(space + 1).getBytes("UTF-8"))
                        .setHeader("key", line.substring(0, space));
                if (!confirms) {
                    Work.say(bridge.send("orders", order.build()) ? "ok" : "not sent");
                    continue;
                }
                CorrelationData sent = new CorrelationData();
                bridge.send("orders", order.setHeader(AmqpHeaders.PUBLISH_CONFIRM_CORRELATION, sent).build());
                CorrelationData.Confirm confirm = sent.getFuture().get(20, TimeUnit.SECONDS);
                Work.say(confirm.isAck() ? "ok" : "refused: " + confirm.getReason());
            }
        };
    }
}
