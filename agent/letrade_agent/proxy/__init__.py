"""What clients see of the agent: the listener, the login, one connection and its limits, draining."""
