"""Calls to the object store, with stores that fail and hang."""
