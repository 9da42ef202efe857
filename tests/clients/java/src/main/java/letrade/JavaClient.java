package letrade;

import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DeliverCallback;
import java.io.BufferedReader;
import java.io.InputStreamReader;

/**
 * RabbitMQ's Java client, as RabbitMQ's tutorials have it.
 *
 * <p>consume URL QUEUE | publish URL EXCHANGE KIND
 */
public final class JavaClient {
    private JavaClient() {}

    public static void main(String[] given) throws Exception {
        ConnectionFactory factory = new ConnectionFactory();
        factory.setUri(given[1]);
        if (given[0].equals("consume")) {
            consume(factory.newConnection().createChannel(), given[2]);
            return;
        }
        try (Connection connection = factory.newConnection();
                Channel channel = connection.createChannel()) {
            publish(channel, given[2], given[3]);
        }
    }

    private static void consume(Channel channel, String queue) throws Exception {
        channel.queueDeclare(queue, true, false, false, null);
        channel.basicQos(1);
        DeliverCallback onMessage = (tag, delivery) -> {
            long number = delivery.getEnvelope().getDeliveryTag();
            int given = 0;
            try {
                given = Work.number(delivery.getBody());
                Work.work(given);
                channel.basicAck(number, false);
            } catch (Exception cannot) {
                channel.basicNack(number, false, given < Work.FOR_GOOD);
            }
        };
        channel.basicConsume(queue, false, onMessage, tag -> {});
        Work.say("ready");
    }

    private static void publish(Channel channel, String exchange, String kind) throws Exception {
        boolean confirms = kind.contains("confirms");
        if (confirms) {
            channel.confirmSelect();
        }
        Work.say("ready");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            int space = line.indexOf(' ');
            byte[] body = line.substring(space + 1).getBytes("UTF-8");
            channel.basicPublish(exchange, line.substring(0, space), kind.contains("mandatory"), null, body);
            if (confirms) {
                channel.waitForConfirmsOrDie(20_000);
            }
            Work.say("ok");
        }
    }
}
