"""Retries while processes are killed and things are deleted: every confirmed message has an end that is known."""
