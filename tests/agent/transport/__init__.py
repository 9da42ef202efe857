"""Legs, heartbeats and the TLS transport, over real sockets."""
