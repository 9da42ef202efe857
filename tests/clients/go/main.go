// Programs as RabbitMQ's tutorials write them for amqp091-go; none knows of an agent. See ../programs/__init__.py.
//
//	main consume URL QUEUE [line]
//	main publish URL EXCHANGE KIND
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	fails   = 100
	forGood = 150 // given back with the one word that asks for it not to come again at once
	holds   = 200
)

func failOnError(err error, what string) {
	if err != nil {
		log.Fatalf("%s: %s", what, err)
	}
}

func work(body []byte) (int, bool) {
	var envelope struct {
		Payload struct{ Number int }
	}
	failOnError(json.Unmarshal(body, &envelope), "no envelope")
	number := envelope.Payload.Number
	fmt.Printf("got %d\n", number)
	if number >= fails && number < holds {
		return number, false
	}
	for number >= holds {
		if _, err := os.Stat(os.Getenv("LETRADE_GO")); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	fmt.Printf("did %d\n", number)
	return number, true
}

func consume(channel *amqp.Channel, queue string, line bool) {
	q, err := channel.QueueDeclare(queue, true, false, false, false, nil)
	failOnError(err, "failed to declare a queue")
	failOnError(channel.Qos(1, 0, false), "failed to set QoS")
	messages, err := channel.Consume(q.Name, "", false, false, false, false, nil)
	failOnError(err, "failed to register a consumer")
	var forever chan struct{}
	ended := make(chan struct{})
	go func() {
		for d := range messages {
			if number, done := work(d.Body); done {
				d.Ack(false)
			} else {
				d.Nack(false, number < forGood)
			}
		}
		close(ended)
	}()
	fmt.Println("ready")
	if line {
		<-ended
		log.Fatal("the connection has ended")
	}
	<-forever
}

func publish(channel *amqp.Channel, exchange, kind string) {
	confirms, mandatory := strings.Contains(kind, "confirms"), strings.Contains(kind, "mandatory")
	if confirms {
		failOnError(channel.Confirm(false), "failed to select confirms")
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		key, body, _ := strings.Cut(lines.Text(), " ")
		message := amqp.Publishing{ContentType: "application/json", Body: []byte(body)}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		if confirms {
			confirmation, err := channel.PublishWithDeferredConfirmWithContext(ctx, exchange, key, mandatory, false, message)
			failOnError(err, "failed to publish")
			confirmed, err := confirmation.WaitContext(ctx)
			failOnError(err, "no confirm")
			if !confirmed {
				fmt.Println("refused: nack")
				cancel()
				continue
			}
		} else {
			failOnError(channel.PublishWithContext(ctx, exchange, key, mandatory, false, message), "failed to publish")
		}
		cancel()
		fmt.Println("ok")
	}
}

func main() {
	connection, err := amqp.Dial(os.Args[2])
	failOnError(err, "failed to connect")
	channel, err := connection.Channel()
	failOnError(err, "failed to open a channel")
	if os.Args[1] == "consume" {
		consume(channel, os.Args[3], len(os.Args) > 4)
	} else {
		publish(channel, os.Args[3], os.Args[4])
	}
}
