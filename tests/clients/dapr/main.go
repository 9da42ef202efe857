// Dapr's pubsub component for RabbitMQ (components-contrib, pubsub/rabbitmq), started as daprd starts it: its metadata is
// that of a component's file. No daprd is between, so what is published goes out as it is (`rawPayload`).
//
//	main consume URL CONSUMER-ID    of the topic `orders`
//	main publish URL EXCHANGE KIND
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"

	"github.com/dapr/components-contrib/metadata"
	"github.com/dapr/components-contrib/pubsub"
	"github.com/dapr/components-contrib/pubsub/rabbitmq"
	"github.com/dapr/kit/logger"
)

func failOnError(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	role, url, where := os.Args[1], os.Args[2], os.Args[3]
	quiet := logger.NewLogger("dapr")
	quiet.SetOutput(os.Stderr)
	component := rabbitmq.NewRabbitMQ(quiet)
	properties := map[string]string{
		"connectionString": url,
		"consumerID":       where,
		"durable":          "true",
		"exchangeKind":     "topic",
		"publisherConfirm": strconv.FormatBool(role == "publish" && strings.Contains(os.Args[4], "confirms")),
	}
	ctx := context.Background()
	failOnError(component.Init(ctx, pubsub.Metadata{Base: metadata.Base{Name: "pubsub", Properties: properties}}))
	if role == "consume" {
		request := pubsub.SubscribeRequest{Topic: "orders", Metadata: map[string]string{"routingKey": "order.dapr"}}
		failOnError(component.Subscribe(ctx, request, func(_ context.Context, message *pubsub.NewMessage) error {
			var envelope struct {
				Payload struct{ Number int }
			}
			failOnError(json.Unmarshal(message.Data, &envelope))
			fmt.Printf("got %d\n", envelope.Payload.Number)
			if envelope.Payload.Number >= 100 {
				return errors.New("cannot handle it")
			}
			fmt.Printf("did %d\n", envelope.Payload.Number)
			return nil
		}))
		fmt.Println("ready")
		select {}
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		key, body, _ := strings.Cut(lines.Text(), " ")
		request := pubsub.PublishRequest{Topic: where, Data: []byte(body), Metadata: map[string]string{"routingKey": key}}
		failOnError(component.Publish(ctx, &request))
		fmt.Println("ok")
	}
}
