"""Tests of what watches agents and controller: alerts, dashboards, and a real Prometheus."""
