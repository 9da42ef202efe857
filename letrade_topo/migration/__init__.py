"""Changing what cannot change on an existing queue, without losing a message: what a migration is. Pure.

Knows the objects that a migration needs, its record, and which step comes next, by what is on the broker. Acts on
nothing: `letrade_topo.apply` does, and `letrade_topo.queues` moves messages.
"""
