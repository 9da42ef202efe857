"""Planning, as pure functions."""
