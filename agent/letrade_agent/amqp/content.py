"""From frames to whole contents: method, header, and the body joined; one assembler per channel and direction.

Theory of operation. A method that carries content opens it, the header says how long the body is, body frames
follow until that length is reached; a body of length 0 has no frame. Anything else in between ends the connection
(RabbitMQ: 505). At the header, before any body byte, `admit` is asked; what it refuses is drained: counted down,
never stored. So memory is bounded by what `admit` lets through, however the frames are cut.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from .faults import AmqpFault, ReplyCode
from .frames import BODY, HEADER, METHOD
from .properties import ContentHeader

Refusal = TypeVar("Refusal")


class Content(NamedTuple, Generic[Refusal]):
    """A complete content.

    Attributes:
        method: payload of the method frame.
        header: its content header.
        body: the whole body; empty if the content was refused at its header.
        refusal: what `admit` answered, None if it let the content in.
    """

    method: bytes
    header: ContentHeader
    body: bytes
    refusal: Refusal | None


class _Expecting(Enum):
    METHOD = "a method frame"
    HEADER = "a content header"
    BODY = "a content body"


_FRAME_NAMES = {METHOD: "a method frame", HEADER: "a content header", BODY: "a content body"}


class ContentAssembler(Generic[Refusal]):
    """Puts the frames of one direction of a channel together.

    Arguments:
        admit: asked at each header with the method's payload and the header; None lets the content in, any
            other value refuses it and comes back with the drained content.
    """

    __slots__ = ("_admit", "_body", "_expecting", "_header", "_method", "_missing", "_refusal")

    def __init__(self, admit: Callable[[bytes, ContentHeader], Refusal | None]) -> None:
        self._admit = admit
        self._expecting = _Expecting.METHOD
        self._method = b""
        self._header: ContentHeader | None = None
        self._refusal: Refusal | None = None
        self._body: bytearray | None = None
        self._missing = 0

    @property
    def in_progress(self) -> bool:
        """Whether a content has begun and not ended."""
        return self._expecting is not _Expecting.METHOD

    @property
    def buffered_bytes(self) -> int:
        """How much of a body is held."""
        return 0 if self._body is None else len(self._body)

    def method(self, payload: bytes, *, has_content: bool) -> None:
        """Take a method frame; every method frame of the channel has to come by here.

        Raises:
            AmqpFault: UNEXPECTED_FRAME, a content is in progress.
        """
        if self._expecting is not _Expecting.METHOD:
            raise self._unexpected(METHOD)
        if has_content:
            self._method = payload
            self._expecting = _Expecting.HEADER

    def header(self, payload: bytes) -> Content[Refusal] | None:
        """Take a content header frame; give the content if its body is empty, else None.

        Raises:
            AmqpFault: UNEXPECTED_FRAME or SYNTAX_ERROR.
        """
        if self._expecting is not _Expecting.HEADER:
            raise self._unexpected(HEADER)
        header = ContentHeader.parse(payload)
        refusal = self._admit(self._method, header)
        self._refusal = refusal
        self._missing = header.body_size
        if not header.body_size:
            self._expecting = _Expecting.METHOD
            return tuple.__new__(Content, (self._method, header, b"", refusal))
        self._header = header
        self._expecting = _Expecting.BODY
        return None

    def body(self, payload: bytes) -> Content[Refusal] | None:
        """Take a content body frame; give the content if this was the last one, else None.

        Raises:
            AmqpFault: UNEXPECTED_FRAME, or FRAME_ERROR for more bytes than the header announced.
        """
        header = self._header
        if self._expecting is not _Expecting.BODY or header is None:
            raise self._unexpected(BODY)
        missing = self._missing - len(payload)
        if missing < 0:
            raise AmqpFault(
                ReplyCode.FRAME_ERROR,
                f"content body frame of {len(payload)} bytes where {self._missing} of {header.body_size} were left",
            )
        refusal = self._refusal
        if missing:
            self._missing = missing
            if refusal is None:
                if self._body is None:
                    self._body = bytearray()
                self._body += payload
            return None
        if refusal is not None:
            payload = b""
        elif self._body is not None:
            self._body += payload
            payload = bytes(self._body)
            self._body = None
        self._header = None
        self._expecting = _Expecting.METHOD
        return tuple.__new__(Content, (self._method, header, payload, refusal))

    def reset(self) -> None:
        """Drop a content in progress: the channel is gone, or is closing and its frames are thrown away."""
        self._expecting = _Expecting.METHOD
        self._method = b""
        self._header = self._refusal = self._body = None

    def _unexpected(self, frame_type: int) -> AmqpFault:
        return AmqpFault(
            ReplyCode.UNEXPECTED_FRAME, f"expected {self._expecting.value}, got {_FRAME_NAMES[frame_type]} instead"
        )
