"""The way of a message as text, for people at a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from letrade_topo.graph.failing import FailurePath, FailureStep
from letrade_topo.graph.route import MessagePurpose, MessageRoute, ReachedQueue
from letrade_topo.model.routes import Bound, PassedExchange
from letrade_topo.model.topology import DestinationType
from letrade_topo.model.units import Duration
from letrade_topo.render.wording import counted, on_one_line

DEFAULT_EXCHANGE_WORDS = "the default exchange"


def render_route(purpose: MessagePurpose, route: MessageRoute, *, rejects: bool) -> str:
    """A message, for whom it is, its way, and what becomes of it.

    Args:
        purpose: what the topology says of the message.
        route: its way.
        rejects: show every step of a message that is rejected wherever it is delivered.
    """
    return "\n".join([*_head(purpose, route), "", *way_lines(route, rejects=rejects)])


def way_lines(route: MessageRoute, *, rejects: bool) -> Iterator[str]:
    """The exchanges on the way, then the queues, each with what becomes of the message there."""
    if route.exchange_type is None:
        meant = f" Did you mean {on_one_line(route.meant)!r}?" if route.meant else ""
        yield f"There is no exchange {_name(route.message.exchange)}: a publisher's channel is closed with 404.{meant}"
        return
    for stop in route.stops:
        yield from _stop(stop)
    if route.choosing:
        yield f"{_names(route.choosing, '')}: a type with rules of its own; a message may go to some of these."
    yield ""
    if not route.arrivals:
        yield "It reaches no queue: the broker drops it, and returns it to a publisher that set `mandatory`."
        return
    yield f"It reaches {counted(len(route.arrivals), 'queue')}:"
    for arrival in route.arrivals:
        yield from _arrival(arrival, rejects=rejects)


def _head(purpose: MessagePurpose, route: MessageRoute) -> Iterator[str]:
    message = route.message
    kind = f" ({route.exchange_type})" if route.exchange_type else ""
    yield f"{_name(message.exchange)}{kind} [{on_one_line(message.key)}]"
    for name, value in message.headers.items():
        yield f"  header        {on_one_line(name)}: {on_one_line(json.dumps(value, ensure_ascii=False))}"
    if purpose.type is not None:
        yield f"  message type  {on_one_line(purpose.type.name)}, lifetime {purpose.type.lifetime}"
    else:
        yield "  message type  none that is declared"
    yield f"  published by  {_names(purpose.publishers, 'no service')}"
    yield f"  declared for  {_names(purpose.consumers, 'no service')}"
    yield f"  may publish   {_names(route.may_publish, 'no user of the topology')}"
    if route.in_doubt:
        yield f"  may publish?  {_names(route.in_doubt, '')}: their permissions take the broker's own PCRE to judge"


def _stop(stop: PassedExchange) -> Iterator[str]:
    yield _name(stop.exchange)
    for bound in stop.matched:
        to = "queue" if bound.destination_type == DestinationType.QUEUE else "exchange"
        yield f"  {_label(bound)} → {to} {on_one_line(bound.destination)}"
    if stop.alternate is not None:
        yield f"  no binding takes it → alternate exchange {_name(stop.alternate)}"
    elif not stop.matched:
        yield "  no binding takes it"


def _label(bound: Bound) -> str:
    arguments = f" {json.dumps(dict(bound.arguments), ensure_ascii=False)}" if bound.arguments else ""
    return f"[{on_one_line(bound.routing_key)}]{on_one_line(arguments)}"


def _arrival(arrival: ReachedQueue, *, rejects: bool) -> Iterator[str]:
    service = f", consumed by {on_one_line(arrival.service)}" if arrival.service else ""
    yield f"  {on_one_line(arrival.queue)}{service}"
    if arrival.milliseconds_to_live is not None:
        yield f"    expires after {Duration(arrival.milliseconds_to_live)}"
    lines = map(_step, arrival.failure.steps) if rejects else _summary(arrival.failure)
    yield from (f"    {line}" for line in lines)
    if arrival.failure.comes_back:
        yield "    it comes back to where it was rejected, and nobody counts how often"


def _summary(failure: FailurePath) -> Iterator[str]:
    retries, last = failure.retries, failure.last
    if retries:
        delays = ", ".join(str(Duration(delay)) for delay in _delays(retries))
        yield f"rejected: {'retry' if len(retries) == 1 else f'{len(retries)} retries'} after {delays}"
        yield f"then after {Duration(last.milliseconds)} dead: {_onward(last)}"
    else:
        yield f"rejected: {_onward(failure.steps[0])}"


def _delays(retries: Iterable[FailureStep]) -> Iterator[int]:
    before = 0
    for step in retries:
        yield step.milliseconds - before
        before = step.milliseconds


def _step(step: FailureStep) -> str:
    at = Duration(step.milliseconds) if step.milliseconds else "0s"
    return f"{at!s:>5}  {step.cause:<8}  {on_one_line(step.queue)} → {_onward(step)}"


def _onward(step: FailureStep) -> str:
    if step.exchange is None:
        return "dropped: the queue has no dead-letter exchange"
    over = f"{_name(step.exchange)} [{on_one_line(step.key)}]"
    return f"{over} → {_names(step.queues, 'no queue: it is lost')}"


def _name(exchange: str) -> str:
    return on_one_line(exchange) or DEFAULT_EXCHANGE_WORDS


def _names(found: Iterable[str], none: str) -> str:
    return ", ".join(map(on_one_line, found)) or none
