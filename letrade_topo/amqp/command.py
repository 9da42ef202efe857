"""What every command value has in common: a method of the table with named arguments."""

from __future__ import annotations

from typing import ClassVar, Self

from .arguments import decode_arguments, encode_arguments
from .methods import Method


class Command:
    """A method with its arguments as fields, named as in the table of methods."""

    __slots__ = ()
    method: ClassVar[Method]

    def encode(self) -> bytes:
        """The payload of its method frame.

        Raises:
            ValueError: a short string of more than 255 bytes.
        """
        return encode_arguments(self.method, [getattr(self, name) for name, _ in self.method.arguments])

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read the payload of a frame of this very method.

        Raises:
            AmqpFault: SYNTAX_ERROR, the payload is not exactly these arguments.
        """
        names = (name for name, _ in cls.method.arguments)
        return cls(**dict(zip(names, decode_arguments(cls.method, payload), strict=True)))
