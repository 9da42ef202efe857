"""From frames to whole contents: method, header, and the body joined; one assembler per channel and direction.

Theory of operation. A method that carries content opens it, the header says how long the body is, body frames
follow until that length is reached; a body of length 0 has no frame. Anything else in between ends the connection
(RabbitMQ: 505). At the header, before any body byte, `admit` is asked; what it refuses is drained: counted down,
never stored. So memory is bounded by what `admit` lets through, however the frames are cut; and over all channels of
a connection by `Unfinished`, because contents need not end.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import Enum
from typing import Final, Generic, NamedTuple, TypeVar

from .faults import AmqpFault, ReplyCode
from .frames import BODY, HEADER, METHOD
from .properties import BASIC_CLASS, ContentHeader

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


_HEAD: Final = struct.Struct(">HHQ")


def is_whole(header: bytes, body: bytes) -> bool:
    """Whether a content header of the class basic announces just this body."""
    return header[:12] == _HEAD.pack(BASIC_CLASS, 0, len(body))


class _Expecting(Enum):
    METHOD = "a method frame"
    HEADER = "a content header"
    BODY = "a content body"


_FRAME_NAMES = {METHOD: "a method frame", HEADER: "a content header", BODY: "a content body"}


_LONGEST_METHOD = 1100
"""Bytes; three names of 255 and what belongs to them. A longer method with content is none."""


class Unfinished:
    """How much is held of contents that have begun and not ended, on all channels of one side of a connection.

    Arguments:
        most: how much that may be, in bytes; asked when it is more than the last time.

    Attributes:
        bytes: that are held.
    """

    __slots__ = ("_allowed", "_most", "bytes")

    def __init__(self, most: Callable[[], int]) -> None:
        self.bytes = 0
        self._most = most
        self._allowed = most()

    def add(self, size: int) -> None:
        """So many bytes more.

        Raises:
            AmqpFault: RESOURCE_ERROR, they are too many.
        """
        self.bytes += size
        if self.bytes > self._allowed:
            self._allowed = self._most()
            if self.bytes > self._allowed:
                raise AmqpFault(
                    ReplyCode.RESOURCE_ERROR,
                    f"the unfinished messages of this connection have {self.bytes} bytes, more than {self._allowed}; "
                    "finish one before the next is begun, or use more connections",
                )


class ContentAssembler(Generic[Refusal]):
    """Puts the frames of one direction of a channel together.

    Arguments:
        admit: asked at each header with the method's payload and the header; None lets the content in, any
            other value refuses it and comes back with the drained content.
        unfinished: counts what is held meanwhile, together with other channels; None: nobody does.
    """

    __slots__ = ("_admit", "_body", "_expecting", "_header", "_held", "_method", "_missing", "_refusal", "_unfinished")

    def __init__(
        self, admit: Callable[[bytes, ContentHeader], Refusal | None], unfinished: Unfinished | None = None
    ) -> None:
        self._admit = admit
        self._unfinished = unfinished
        self._held = 0
        self._expecting = _Expecting.METHOD
        self._method = b""
        self._header: ContentHeader | None = None
        self._refusal: Refusal | None = None
        self._body: bytearray | None = None
        self._missing = 0

    @property
    def is_idle(self) -> bool:
        """Whether no content has begun that has not ended."""
        return self._expecting is _Expecting.METHOD

    @property
    def buffered_bytes(self) -> int:
        """How much of a body is held."""
        return 0 if self._body is None else len(self._body)

    def method(self, payload: bytes, *, has_content: bool) -> None:
        """Take a method frame; every method frame of the channel has to come by here.

        Raises:
            AmqpFault: UNEXPECTED_FRAME, a content is in progress; or SYNTAX_ERROR, it is too long for its kind.
        """
        if self._expecting is not _Expecting.METHOD:
            raise self._unexpected(METHOD)
        if has_content:
            if len(payload) > _LONGEST_METHOD:
                raise AmqpFault(ReplyCode.SYNTAX_ERROR, f"a method of {len(payload)} bytes before a content")
            self._method = payload
            self._expecting = _Expecting.HEADER

    def header(self, payload: bytes) -> Content[Refusal] | None:
        """Take a content header frame; give the content if its body is empty, else None.

        Raises:
            AmqpFault: UNEXPECTED_FRAME or SYNTAX_ERROR; or RESOURCE_ERROR, too much is held.
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
        self._hold(len(payload))
        return None

    def body(self, payload: bytes) -> Content[Refusal] | None:
        """Take a content body frame; give the content if this was the last one, else None.

        Raises:
            AmqpFault: UNEXPECTED_FRAME, or FRAME_ERROR for more bytes than the header announced; or RESOURCE_ERROR,
                too much is held.
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
                self._hold(len(payload))
            return None
        if refusal is not None:
            payload = b""
        elif self._body is not None:
            self._body += payload
            payload = bytes(self._body)
            self._body = None
        self._header = None
        self._expecting = _Expecting.METHOD
        self._let_go()
        return tuple.__new__(Content, (self._method, header, payload, refusal))

    def reset(self) -> None:
        """Drop a content in progress: the channel is gone, or is closing and its frames are thrown away."""
        self._expecting = _Expecting.METHOD
        self._method = b""
        self._header = self._refusal = self._body = None
        self._let_go()

    def _hold(self, size: int) -> None:
        self._held += size
        if self._unfinished is not None:
            self._unfinished.add(size)

    def _let_go(self) -> None:
        if self._unfinished is not None:
            self._unfinished.bytes -= self._held
        self._held = 0

    def _unexpected(self, frame_type: int) -> AmqpFault:
        return AmqpFault(
            ReplyCode.UNEXPECTED_FRAME, f"expected {self._expecting.value}, got {_FRAME_NAMES[frame_type]} instead"
        )
