"""What of messages is traced, and how it is told from message to message: values, no I/O."""
