// A program that keeps to the defaults of amqp091-go: it publishes one message and prints how it learned what became
// of it, or nothing.
//
//	main URL EXCHANGE KEY confirms|plain    the body on stdin
//
// With AMQP_SOCKET it connects to that Unix socket instead of the URL's host.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const limit = 20 * time.Second

func must(err error) {
	if err != nil {
		fmt.Print(err)
		os.Exit(0)
	}
}

func dial(url, socket string) (*amqp.Connection, error) {
	if socket == "" {
		return amqp.Dial(url)
	}
	toSocket := func(string, string) (net.Conn, error) { return net.Dial("unix", socket) }
	return amqp.DialConfig(url, amqp.Config{Dial: toSocket, Locale: "en_US"})
}

func main() {
	url, exchange, key, kind := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	body, err := io.ReadAll(os.Stdin)
	must(err)
	connection, err := dial(url, os.Getenv("AMQP_SOCKET"))
	must(err)
	channel, err := connection.Channel()
	must(err)
	message := amqp.Publishing{Body: body}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if kind == "confirms" {
		must(channel.Confirm(false))
		confirmation, err := channel.PublishWithDeferredConfirmWithContext(ctx, exchange, key, true, false, message)
		must(err)
		confirmed, err := confirmation.WaitContext(ctx)
		must(err)
		if !confirmed {
			fmt.Print("not confirmed")
		}
		return
	}
	closed := channel.NotifyClose(make(chan *amqp.Error, 1))
	must(channel.PublishWithContext(ctx, exchange, key, false, false, message))
	select {
	case reason := <-closed:
		fmt.Print(reason)
	case <-ctx.Done():
	}
}
