"""What a topology implies on the broker, as pure functions."""
