"""Handing over dead letters and copies: published on a connection of their own, confirmed, only then told."""
