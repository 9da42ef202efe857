"""Tests of the agent's AMQP core: units, properties, and pamqp and pika as foreign opinions."""
