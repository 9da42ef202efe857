"""Tests of the agent's watch."""
