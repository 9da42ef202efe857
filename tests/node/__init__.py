"""Tests of the private node."""
