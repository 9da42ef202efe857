"""Queues that are migrated under services beside agents, while agents and brokers are killed."""
