"""Loading: every problem at its place."""
