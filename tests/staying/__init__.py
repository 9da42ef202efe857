"""Consumers beside agents, whose queues are migrated."""
