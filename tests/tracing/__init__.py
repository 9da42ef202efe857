"""Spans of messages through two agents, a ladder and a broker, as a collector gets them."""
