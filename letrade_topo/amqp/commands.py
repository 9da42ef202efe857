"""The rarer methods as values: whatever the agent answers, checks or writes itself, but not once per message.

Every other method is relayed as the bytes it came as. Fields without a meaning in 0-9-1 have the value that
everyone sends. The methods of every message are in `basic`.
"""

from __future__ import annotations

from typing import Final

from .channel_commands import CHANNEL_COMMANDS
from .command import Command
from .connection_commands import CONNECTION_COMMANDS
from .methods import method_of
from .topology_commands import TOPOLOGY_COMMANDS

COMMANDS: Final[dict[bytes, type[Command]]] = {
    command.method.index: command for command in CONNECTION_COMMANDS + CHANNEL_COMMANDS + TOPOLOGY_COMMANDS
}


def parse_command(payload: bytes) -> Command | None:
    """Read the payload of a method frame; None for a method that has no command and is to be relayed.

    Raises:
        AmqpFault: NOT_IMPLEMENTED for an unknown method, SYNTAX_ERROR for arguments that are not exactly its own.
    """
    command = COMMANDS.get(payload[:4])
    if command is not None:
        return command.parse(payload)
    method_of(payload)
    return None
