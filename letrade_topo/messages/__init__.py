"""What is inside a message: the JSON envelope and the payload's JSON Schema.

Stands on `letrade_topo.model` alone; knows no AMQP frame and no key.
"""
