"""docs/reference/channel-states.md: the life of a proxied channel, drawn from its table."""

from __future__ import annotations

from letrade_agent.amqp.channel import TRANSITIONS, ChannelInput, ChannelState, Transition, Wrong, is_of_broker

_INTRODUCTION = """# The states of a channel

Generated from `letrade_agent.amqp.channel` by `script/reference`. A channel of the agent has two legs under one number,
the application's ("client") and the broker's; the state is that of the pair. Every state and every input is driven
through the agent by `tests/agent/relay/test_channel_table.py`.

"""

_FAULTS = {
    True: "the broker is at fault: the connection ends, and the client is told 541",
    False: 'the client is at fault: the connection ends with {code}, "{text}"',
}


def page() -> str:
    """The page, in Markdown."""
    return _INTRODUCTION + _diagram() + _table()


def _diagram() -> str:
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> CLOSED"]
    for state, row in TRANSITIONS.items():
        ways: dict[ChannelState, list[ChannelInput]] = {}
        for happened, cell in row.items():
            if not isinstance(cell, Wrong) and cell[0] is not state:
                ways.setdefault(cell[0], []).append(happened)
        for following, inputs in ways.items():
            lines.append(f"    {state.name} --> {following.name}: {', '.join(_short(one) for one in inputs)}")
    return "\n".join([*lines, "```", ""])


def _short(happened: ChannelInput) -> str:
    return happened.name.replace("_", " ").lower().replace("open ok", "open-ok").replace("close ok", "close-ok")


def _table() -> str:
    lines = ["", "| state | |", "| --- | --- |"]
    lines += [f"| `{state.name}` | {state.value} |" for state in ChannelState]
    lines += ["", "| state | what happens | what is done | next state |", "| --- | --- | --- | --- |"]
    for state, row in TRANSITIONS.items():
        merged: dict[tuple[str, str], list[str]] = {}
        for happened, cell in row.items():
            merged.setdefault(_outcome(state, happened, cell), []).append(happened.value)
        for (done, following), inputs in merged.items():
            lines.append(f"| `{state.name}` | {'<br>'.join(inputs)} | {done} | {following} |")
    return "\n".join([*lines, ""])


def _outcome(state: ChannelState, happened: ChannelInput, cell: Transition | Wrong) -> tuple[str, str]:
    if isinstance(cell, Wrong):
        return _FAULTS[is_of_broker(happened)].format(code=int(cell.code), text=cell.text), "–"
    following, action = cell
    return action.value, "" if following is state else f"`{following.name}`"
