"""Tests of keys and message tokens."""
