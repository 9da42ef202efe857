"""The way of a message as JSON."""

from __future__ import annotations

from letrade_topo.graph.failing import FailurePath
from letrade_topo.graph.route import MessagePurpose, MessageRoute, ReachedQueue
from letrade_topo.model.messages import Json
from letrade_topo.model.routes import Bound, PassedExchange

FORMAT_VERSION = 1


def route_to_json(purpose: MessagePurpose, declared: MessageRoute, live: MessageRoute | None) -> dict[str, Json]:
    """One object.

    Args:
        purpose: what the topology says of the message.
        declared: its way as the topology declares it.
        live: its way on the broker; None where nobody asked.
    """
    message = declared.message
    report: dict[str, Json] = {
        "format_version": FORMAT_VERSION,
        "exchange": message.exchange,
        "routing_key": message.key,
        "headers": dict(message.headers),
        "message_type": purpose.type.name if purpose.type is not None else None,
        "published_by": [*purpose.publishers],
        "declared_for": [*purpose.consumers],
        "declared": _way(declared),
    }
    if live is not None:
        report |= {"live": _way(live), "differs": differs(declared, live)}
    return report


def differs(declared: MessageRoute, live: MessageRoute) -> bool:
    """Whether a message goes another way on the broker, up to where it comes to rest."""
    return (declared.exchange_type, set(declared.stops), declared.arrivals) != (
        live.exchange_type,
        set(live.stops),
        live.arrivals,
    )


def _way(route: MessageRoute) -> dict[str, Json]:
    return {
        "exchange_type": route.exchange_type,
        "may_publish": [*route.may_publish],
        "may_publish_in_doubt": [*route.in_doubt],
        "queues": [*route.queues],
        "chosen_by_plugin_exchanges": [*route.choosing],
        "exchanges": [_stop(stop) for stop in route.stops],
        "arrivals": [_arrival(arrival) for arrival in route.arrivals],
    }


def _stop(stop: PassedExchange) -> Json:
    return {"name": stop.exchange, "bindings": [_bound(one) for one in stop.matched], "alternate": stop.alternate}


def _bound(bound: Bound) -> Json:
    return {
        "destination_type": str(bound.destination_type),
        "destination": bound.destination,
        "routing_key": bound.routing_key,
        "arguments": dict(bound.arguments),
    }


def _arrival(arrival: ReachedQueue) -> Json:
    return {
        "queue": arrival.queue,
        "service": arrival.service,
        "message_ttl_milliseconds": arrival.milliseconds_to_live,
        "when_rejected": _failure(arrival.failure),
    }


def _failure(failure: FailurePath) -> Json:
    return {
        "retries": len(failure.retries),
        "lost": failure.is_loss,
        "comes_back_uncounted": failure.comes_back,
        "steps": [
            {
                "cause": str(step.cause),
                "queue": step.queue,
                "exchange": step.exchange,
                "routing_key": step.key,
                "queues": [*step.queues],
                "after_milliseconds": step.milliseconds,
            }
            for step in failure.steps
        ],
    }
