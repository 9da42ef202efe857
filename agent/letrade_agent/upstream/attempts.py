"""What became of attempts to reach the broker: counted, remembered for each node, told once."""

from __future__ import annotations

from letrade_agent.log import Log
from letrade_agent.measures import Measures
from letrade_agent.upstream.broken import ConnectOutcome, UpstreamBroken
from letrade_agent.upstream.nodes import NodeHealth, Nodes, NodeState


class Attempts:
    """Keeps the books.

    Args:
        nodes: how they did.
        measures: attempts by outcome, and how long they took.
        log: told when a node fails in another way than before, and when it works again.
    """

    def __init__(self, nodes: Nodes, measures: Measures, log: Log) -> None:
        self._nodes = nodes
        self._measures = measures
        self._log = log

    def failed(self, state: NodeState, broken: UpstreamBroken) -> None:
        """No connection came of it."""
        self._measures.connect_attempts[broken.outcome.value] += 1
        problem = str(broken)
        if state.problem != problem:
            self._log("warning", "broker_node_failed", {"node": str(state.node), "problem": problem})
        if broken.is_nodes_fault:
            self._nodes.failed(state, problem)
        else:
            state.problem = problem

    def worked(self, state: NodeState, seconds: float) -> None:
        """The connection is open; what it took, without what the client took."""
        self._measures.connect_attempts[ConnectOutcome.OK.value] += 1
        self._measures.connect_seconds.observe(seconds)
        if state.health is not NodeHealth.UP or state.problem:
            self._log("info", "broker_node_up", {"node": str(state.node), "seconds": round(seconds, 3)})
        self._nodes.worked(state)
