"""Retries: what a service's queues gave up is put on its way back, or among the dead letters."""
