"""Agents under load: refusals between confirms, rotations, drains, faults, and hours in minutes."""
