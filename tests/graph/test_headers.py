"""Which kinds of values a headers exchange takes for equal, asked of the broker itself."""

from __future__ import annotations

from letrade_topo.broker.capabilities import for_version
from letrade_topo.model.header_match import headers_match
from letrade_topo.model.messages import Json
from tests.brokers import RunningBroker

VALUES: tuple[Json, ...] = (1, 1.0, 1.5, "1", True, "true")


def test_values_match_their_own_kind_only(broker: RunningBroker, vhost_name: str) -> None:
    """Numbers with and without a fraction, texts and flags, each against each."""
    assert broker.api("PUT", f"/api/vhosts/{vhost_name}").ok
    rights = {"configure": ".*", "write": ".*", "read": ".*"}
    assert broker.api("PUT", f"/api/permissions/{vhost_name}/{broker.username}", json=rights).ok
    assert broker.api("PUT", f"/api/queues/{vhost_name}/q", json={}).ok
    numbers_typed = for_version(broker.version).header_numbers_typed
    for index, value in enumerate(VALUES):
        path = f"{vhost_name}/x{index}"
        assert broker.api("PUT", f"/api/exchanges/{path}", json={"type": "headers"}).ok
        binding = {"arguments": {"k": value, "x-match": "all"}}
        assert broker.api("POST", f"/api/bindings/{vhost_name}/e/x{index}/q/q", json=binding).ok

        for sent in VALUES:
            body = {"routing_key": "", "payload": "", "payload_encoding": "string"}
            message = {"properties": {"headers": {"k": sent}}, **body}
            routed = broker.api("POST", f"/api/exchanges/{path}/publish", json=message).json()["routed"]
            assert routed is headers_match({"k": value}, {"k": sent}, numbers_typed=numbers_typed), (value, sent)
