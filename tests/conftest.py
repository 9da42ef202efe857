"""What every test can use: real brokers (see `tests/brokers.py`)."""

pytest_plugins = ["tests.brokers"]
