"""Which page of the admin port shows what."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from letrade_agent.limits import DEFAULT_LIMITS, AdminLimits
from letrade_agent.observe.admin import Asked, Page, Pages, text
from letrade_agent.observe.metrics import AgentCollector, Exposition
from letrade_agent.observe.page import render
from letrade_agent.observe.status import Observed, as_json, status_of
from letrade_agent.observe.style import POLICY
from letrade_agent.state import Phase


def pages_of(observed: Observed, monotonic: Callable[[], float], limits: AdminLimits = DEFAULT_LIMITS.admin) -> Pages:
    """The pages of one agent, by path.

    Args:
        observed: what they show.
        monotonic: seconds.
        limits: when the event loop counts as not alive.
    """
    state = observed.state
    exposition = Exposition(
        AgentCollector(observed.measures, state, observed.version, observed.sidelights, observed.clock)
    )

    def metrics(asked: Asked) -> Page:
        scrape = exposition.scrape(asked.accept)
        return Page(scrape.body, scrape.content_type)

    def startup(_: Asked) -> Page:
        """Whether it was ready since the start; the drain does not change that."""
        return text("started") if state.phase is not Phase.STARTING else _unavailable("not listening yet")

    def livez(_: Asked) -> Page:
        silent = monotonic() - state.ticked_at if state.ticked_at else 0.0
        return text("alive") if silent < limits.stalled_seconds else _unavailable(f"no tick for {silent:.0f} s")

    def readyz(_: Asked) -> Page:
        """Local matters only: a broker that is away must not make every pod unready at once."""
        return text("ready") if state.is_ready else _unavailable(state.phase.value)

    def status(_: Asked) -> Page:
        return Page(as_json(status_of(observed)), "application/json")

    def front(_: Asked) -> Page:
        body = render(status_of(observed), tuple(observed.rates.seconds))
        return Page(body, "text/html; charset=utf-8", headers=(("Content-Security-Policy", POLICY),))

    return {
        "/": front,
        "/livez": livez,
        "/metrics": metrics,
        "/readyz": readyz,
        "/startup": startup,
        "/status": status,
    }


def _unavailable(why: str) -> Page:
    return text(why, HTTPStatus.SERVICE_UNAVAILABLE)
