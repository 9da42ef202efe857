"""The sidecar agent: a transparent AMQP 0-9-1 proxy that signs what leaves a service and verifies what reaches it."""
