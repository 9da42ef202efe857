"""Tests of the sidecar agent."""
