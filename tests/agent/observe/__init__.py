"""Tests of the agent's observe."""
