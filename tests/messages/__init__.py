"""Tests of envelope and schema."""
