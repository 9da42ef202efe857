"""Retries end to end: real brokers, real agents, services that reject."""
