"""Tests of the agent's app."""
