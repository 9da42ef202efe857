"""Which node is tried when, with a clock and a jitter of the test's own."""

from __future__ import annotations

from letrade_agent.config import Address, UpstreamNode
from letrade_agent.limits import DEFAULT_LIMITS
from letrade_agent.upstream.nodes import NodeHealth, Nodes

NODES = tuple(UpstreamNode(Address("127.0.0.1", port)) for port in (1, 2, 3))


class SetClock:
    """Time as it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Now."""
        return self.now


def longest(_: float, limit: float) -> float:
    """A jitter that always takes the longest."""
    return limit


def test_the_order_is_random() -> None:
    """row 34: not every agent begins with the node that is named first."""
    nodes = Nodes(NODES, monotonic=SetClock())

    firsts = {nodes.to_try()[0].node.address.port for _ in range(200)}

    assert firsts == {1, 2, 3}


def test_a_failed_node_waits_longer_each_time() -> None:
    """row 34: the penalty doubles up to its limit; a success ends it."""
    clock = SetClock()
    nodes = Nodes(NODES[:1], monotonic=clock, jitter=longest)
    state = nodes.states[0]
    penalties = []
    for _ in range(10):
        nodes.failed(state, "refused")
        penalties.append(round(state.retry_at - clock.now, 3))
    assert penalties[:4] == [0.1, 0.2, 0.4, 0.8]
    assert penalties[-1] == DEFAULT_LIMITS.upstream.longest_penalty_seconds
    assert state.health is NodeHealth.DOWN

    nodes.worked(state)

    assert nodes.to_try() == [state]
    assert (state.health, state.failures, state.problem) == (NodeHealth.UP, 0, "")


def test_penalised_nodes_are_left_out() -> None:
    """row 34: while all are under their penalty there is none to try, so clients are refused at once."""
    clock = SetClock()
    nodes = Nodes(NODES, monotonic=clock, jitter=longest)
    for state in nodes.states[:2]:
        nodes.failed(state, "refused")
    assert nodes.to_try() == [nodes.states[2]]
    nodes.failed(nodes.states[2], "refused")
    assert nodes.to_try() == []
    assert nodes.problem.count("refused") == 3

    clock.now += 0.1

    assert len(nodes.to_try()) == 3


def test_the_jitter_is_full() -> None:
    """The penalty is between nothing and its longest, so that agents do not come back together."""
    limits = []

    def record(low: float, high: float) -> float:
        limits.append((low, high))
        return low

    nodes = Nodes(NODES[:1], monotonic=SetClock(), jitter=record)
    nodes.failed(nodes.states[0], "refused")

    assert limits == [(0.0, 0.1)]
