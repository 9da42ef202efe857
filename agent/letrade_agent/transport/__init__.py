"""What a connection is made of: the socket, TLS, heartbeats, a close that arrives; nothing of messages."""
