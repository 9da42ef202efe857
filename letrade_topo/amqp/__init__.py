"""AMQP 0-9-1 without input or output: bytes in, values out, bytes out.

Standard library only. Nothing in here knows a socket, a clock, a task or a topology; state is in plain objects that
the caller owns. The rule that keeps it simple: bytes that are not changed leave as they came, so nothing is decoded
in order to be encoded again.
"""
