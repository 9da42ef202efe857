"""The relay between two test ends."""
