"""Measurements: how fast the product is beside the broker's own work. Never run by the tests."""
