"""What is sent to a collector."""
