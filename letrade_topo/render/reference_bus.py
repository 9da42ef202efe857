"""The reference page of the message bus, from its signatures and docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from enum import Enum
from types import FunctionType
from typing import Any, Final

from letrade_topo.bus import Health, Message, MessageBus, Subscription, errors, settings

_HEAD: Final = """# MessageBus

Generated from the code by `script/reference`. Extra `bus`: `from letrade_topo.bus import MessageBus`; for asyncio, from
Python 3.11 on. It speaks to the service's agent and neither signs, encrypts nor checks in itself.
[Programs with it](../../examples/bus) · [moving a service to it](../how-to/move-to-the-message-bus.md)
"""

_SECTION = re.compile(r"^ *(Args|Returns|Raises|Attributes):$", re.MULTILINE)
_TITLES: Final = {"Args": "", "Attributes": "", "Returns": "Returns ", "Raises": "Raises:"}
_QUIET: Final = {"__init__", "__aenter__", "__aexit__", "__aiter__", "__anext__"}
_SUBSCRIPTION: Final = ("queue", "is_closed", "is_active", "close")
_MESSAGE: Final = ("timestamp", "ack", "reject")


def page() -> str:
    """The whole page, in Markdown."""
    lines = [_HEAD, "## Settings", "", "```text", *_preformatted(settings.__doc__), "```", ""]
    lines += ["## `MessageBus`", "", *_text(MessageBus.__doc__)]
    for name, member in vars(MessageBus).items():
        if isinstance(member, FunctionType) and name not in _QUIET and not name.startswith("_"):
            lines += _method(name, member)
    for kind, names in ((Message, _MESSAGE), (Subscription, _SUBSCRIPTION)):
        public = kind is Message  # nobody but the bus makes a subscription
        lines += [
            f"## `{kind.__name__}`",
            "",
            *_text(kind.__doc__ if public else _SECTION.split(kind.__doc__ or "")[0]),
        ]
        for name in names:
            lines += _method(name, getattr(kind, name))
    lines += ["## `Health`", "", *_text(Health.__doc__)]
    lines += ["## Errors", "", "```text", *_preformatted(errors.__doc__), "```", ""]
    lines += ["Every one has `what`, `why` and `fix`; as text, all three.", ""]
    return "\n".join(lines)


def _method(name: str, member: Callable[..., Any] | property) -> list[str]:
    if isinstance(member, property):
        return [f"### `{name}`", "", *_text(member.__doc__)]
    word = "async def" if inspect.iscoroutinefunction(member) else "def"
    return [f"### `{name}`", "", "```text", f"{word} {name}{_signature(member)}", "```", "", *_text(member.__doc__)]


def _signature(member: Callable[..., Any]) -> str:
    """One parameter in each line, without quotes around annotations."""
    signature = inspect.signature(member)
    lines = []
    for one in signature.parameters.values():
        if one.kind is one.KEYWORD_ONLY and "    *," not in lines:
            lines.append("    *,")
        if one.name != "self":
            default = one.default.value if isinstance(one.default, Enum) else one.default
            given = "" if default is one.empty else f" = {default!r}"
            lines.append(f"    {one.name}: {one.annotation}{given},")
    inner = "\n".join(["", *lines, ""]) if lines else ""
    return f"({inner}) -> {signature.return_annotation}"


def _text(docstring: str | None) -> Iterator[str]:
    """A docstring: its paragraphs, and its sections as lists."""
    text = inspect.cleandoc(docstring or "")
    first, *rest = _SECTION.split(text)
    yield from (first.strip(), "")
    for title, body in zip(rest[::2], rest[1::2], strict=True):
        entries = _entries(body)
        if title == "Returns":
            yield f"Returns {' '.join(entries)[:1].lower()}{' '.join(entries)[1:]}"
        else:
            if _TITLES[title]:
                yield from (_TITLES[title], "")
            for entry in entries:
                name, _, meaning = entry.partition(": ")
                names = ", ".join(f"`{one}`" for one in name.split(", "))
                yield f"- {names}: {meaning}" if meaning else f"- {entry}"
        yield ""


def _entries(body: str) -> list[str]:
    """Each entry of a section in one line; deeper lines belong to the one before."""
    found: list[str] = []
    for line in inspect.cleandoc(body).splitlines():
        if line.startswith(" ") and found:
            found[-1] += f" {line.strip()}"
        elif line.strip():
            found.append(line.strip())
    return found


def _preformatted(docstring: str | None) -> list[str]:
    """A module's docstring without its first line."""
    return inspect.cleandoc(docstring or "").partition("\n")[2].strip("\n").splitlines()
