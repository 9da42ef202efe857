"""The agent's shell with real sockets and, where it says so, a real broker."""
