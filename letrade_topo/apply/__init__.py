"""Doing what a plan says: under a lock, in stages, with a result for every object, read back at the end."""
