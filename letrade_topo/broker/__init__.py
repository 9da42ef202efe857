"""What a RabbitMQ broker holds: objects, live state, what each version can do, in which order to act.

Values and literal tables; nothing here knows a file or a socket.
"""
