"""Tests of the controller: `letrade-topo watch`."""
