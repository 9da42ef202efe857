"""Tests of what the documentation claims."""
