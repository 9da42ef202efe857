"""Changing what cannot be changed: migrations of queues, pure and on real brokers."""
