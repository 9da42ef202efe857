"""Contract tests of services, themselves tested."""
