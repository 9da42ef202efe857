"""Work on what lies in queues: looking at dead letters, sending them back, deleting them.

Speaks AMQP to the broker as a person's tool. Stands on the model, the keys and the message formats; knows nothing
of plans. What was published leaves as it came: properties and headers are bytes here, changed by cutting.
"""
