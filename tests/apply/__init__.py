"""Applying to real brokers."""
