"""Tests of the AMQP codec: units, properties, and pamqp and pika as foreign opinions."""
