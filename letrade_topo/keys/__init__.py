"""Keys and message tokens: key sets on disk, signing, verifying.

Shared by the command line and the agent. Stands on `letrade_topo.model` alone and knows no AMQP frame, no
socket and no clock: bytes, moments and random bits are passed in. `docs/reference/token.md` describes the
format.
"""
