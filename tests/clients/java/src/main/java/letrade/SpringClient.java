package letrade;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.concurrent.TimeUnit;
import org.springframework.amqp.core.Message;
import org.springframework.amqp.core.MessageBuilder;
import org.springframework.amqp.core.Queue;
import org.springframework.amqp.rabbit.annotation.RabbitListener;
import org.springframework.amqp.rabbit.connection.CorrelationData;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.amqp.AmqpRejectAndDontRequeueException;
import org.springframework.boot.ApplicationRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.context.annotation.Bean;
import org.springframework.stereotype.Component;

/**
 * Spring AMQP, as Spring Boot's guide has it: a RabbitTemplate and a listener.
 *
 * <p>consume URL QUEUE | publish URL EXCHANGE KIND
 */
@SpringBootApplication
public class SpringClient {
    public static void main(String[] given) {
        SpringApplication application = new SpringApplication(SpringClient.class);
        String confirms = given[0].equals("publish") && given[3].contains("confirms") ? "correlated" : "none";
        application.run(
                "--spring.main.banner-mode=off",
                "--spring.main.web-application-type=none",
                "--spring.rabbitmq.addresses=" + given[1],
                "--spring.rabbitmq.publisher-confirm-type=" + confirms,
                "--spring.rabbitmq.template.mandatory=" + (given.length > 3 && given[3].contains("mandatory")),
                "--spring.rabbitmq.listener.simple.prefetch=1",
                "--role=" + given[0],
                "--where=" + given[2],
                "--confirms=" + confirms);
    }

    @Component
    @ConditionalOnProperty(name = "role", havingValue = "consume")
    static class Consumer {
        @Bean
        Queue queue(@org.springframework.beans.factory.annotation.Value("${where}") String name) {
            return new Queue(name);
        }

        @RabbitListener(queues = "${where}")
        void onMessage(Message message) throws Exception {
            int number = Work.number(message.getBody());
            try {
                Work.work(number);
            } catch (Work.CannotHandle cannot) {
                if (number >= Work.FOR_GOOD) {
                    throw new AmqpRejectAndDontRequeueException(cannot);
                }
                throw cannot;
            }
        }

        @Bean
        ApplicationRunner ready() {
            return given -> Work.say("ready");
        }
    }

    @Component
    @ConditionalOnProperty(name = "role", havingValue = "publish")
    static class Publisher {
        @Bean
        ApplicationRunner publish(
                RabbitTemplate template,
                @org.springframework.beans.factory.annotation.Value("${where}") String exchange,
                @org.springframework.beans.factory.annotation.Value("${confirms}") String confirms) {
            return given -> {
                Work.say("ready");
                BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    int space = line.indexOf(' ');
                    Message message = MessageBuilder.withBody(line.substring(space + 1).getBytes("UTF-8")).build();
                    CorrelationData sent = new CorrelationData();
                    template.send(exchange, line.substring(0, space), message, sent);
                    if (confirms.equals("none")) {
                        Work.say("ok");
                        continue;
                    }
                    CorrelationData.Confirm confirm = sent.getFuture().get(20, TimeUnit.SECONDS);
                    Work.say(confirm.isAck() ? "ok" : "refused: " + confirm.getReason());
                }
            };
        }
    }
}
