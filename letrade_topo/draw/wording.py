"""Words that all drawings share."""

from __future__ import annotations

from collections.abc import Iterator

from letrade_topo.graph.graph import EdgeKind, GraphNode, NodeDrift, NodeKind, QueueLoad


def kind_words(kind: EdgeKind) -> str:
    """What an edge says."""
    return {
        EdgeKind.PUBLISHES: "is published",
        EdgeKind.BINDING: "binding",
        EdgeKind.ALTERNATE: "alternate exchange",
        EdgeKind.CONSUMES: "is consumed",
        EdgeKind.DEAD_LETTERS: "dead letters",
        EdgeKind.RETRIES: "retry",
    }[kind]


def load_words(load: QueueLoad | None) -> Iterator[str]:
    """What a queue holds and does, as far as it is known."""
    if load is None:
        return
    if load.messages is not None:
        yield f"{load.messages:,} msg"
    if load.consumers is not None:
        yield f"{load.consumers:,} cons"
    rates = [rate for rate in (load.in_rate, load.out_rate) if rate is not None]
    if len(rates) == 2 and any(rates):
        yield f"{rates[0]:g}/s in, {rates[1]:g}/s out"


def drift_words(drift: NodeDrift | None) -> Iterator[str]:
    """How something differs, if it does."""
    if drift is not None:
        yield {NodeDrift.MISSING: "missing", NodeDrift.EXTRA: "not declared", NodeDrift.DIFFERENT: "differs"}[drift]


def name_of(node: GraphNode) -> str:
    """A node as it stands in a drawing; a queue of a ladder by what follows the name of its queue."""
    if node.part_of is not None:
        return f"…{node.name.removeprefix(node.part_of.partition(':')[2])}"
    return f"{node.name}.sub.…" if node.kind is NodeKind.RUN_TIME_QUEUES else node.name


def shown_text(text: str, longest: int) -> str:
    """A name as it fits into a drawing: the end of a long one says more than its middle."""
    text = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    if len(text) <= longest:
        return text
    return f"{text[: longest // 2]}…{text[-(longest - longest // 2 - 1) :]}"
