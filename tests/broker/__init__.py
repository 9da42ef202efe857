"""What a broker holds and can do."""
