"""What a message has to be: decisions about one message at a time, without sockets and without state of a channel."""
