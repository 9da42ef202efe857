"""Connections to the broker: which node, the socket, the login, how attempts went; nothing of clients."""
