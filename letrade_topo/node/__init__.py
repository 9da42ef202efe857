"""A private RabbitMQ node for demo, development and tests.

Runs Debian's RabbitMQ as the current user on free loopback ports, with TLS made on the spot. Knows
nothing of topologies: what is on the broker is other packages' business.
"""
