"""The tests; `tests/brokers.py` has the brokers that they talk to."""
