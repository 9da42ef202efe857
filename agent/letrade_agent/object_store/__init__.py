"""Calls to the object store of claim checks, beside the event loop, with time limits."""
