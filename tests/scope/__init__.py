"""Logins that are no administrators: what they reach, where the record is, and what they are told."""
