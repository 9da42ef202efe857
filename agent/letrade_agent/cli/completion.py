"""`letrade-agent completion`: what a shell reads to complete this program."""

from __future__ import annotations

from letrade_topo.completion import completion_command

completion = completion_command("letrade-agent")
