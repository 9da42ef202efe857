"""What one who stands between two sides keeps in mind of AMQP 0-9-1: states, confirms, deliveries, logins.

On the codec of `letrade_topo.amqp` and the standard library alone. Nothing in here knows a socket, a clock, a task or
the rest of the agent; state is in plain objects that the caller owns.
"""
