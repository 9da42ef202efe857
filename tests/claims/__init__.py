"""Claim checks through real agents, a real broker and real object stores."""
