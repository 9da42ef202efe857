"""The management API, against real brokers wherever one can answer."""
