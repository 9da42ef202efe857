"""Tests of `letrade-topo doctor`, on set-ups that are broken for real."""
