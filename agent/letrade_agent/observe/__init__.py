"""What the agent shows of itself: log lines, metrics, health, status."""
