"""What is inside a message: the JSON envelope, the payload's JSON Schema, fields that travel encrypted.

Stands on `letrade_topo.model`, and for what is encrypted on `letrade_topo.keys`; knows no AMQP frame.
"""
