"""Tests of what the agent keeps in mind of AMQP."""
