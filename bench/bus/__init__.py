"""What MessageBus costs beside raw aio-pika."""
