"""The message bus client: its pure parts, and the whole of it through real agents."""
