"""One suite of behaviours, run by unmodified pika, aio-pika and Node's amqplib.

First straight against the broker, which proves the suite itself, then through an agent: a service must not see
the difference.
"""
