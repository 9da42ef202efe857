"""Releases: versions, changelog, and what is built."""
