"""What is recorded of messages, without sockets."""
