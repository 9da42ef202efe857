"""Whether a bus works, with figures: its connection, its queues, its agent, the broker behind that."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Literal, TypedDict

from aio_pika.abc import AbstractRobustChannel
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelInvalidStateError

from letrade_topo.agent_status import AgentUnreachable, InvalidAgentUrl, agent_status
from letrade_topo.bus.errors import NotConnected
from letrade_topo.bus.link import Link

ADMIN_SECONDS: Final = 2.0
DEPTH_SECONDS: Final = 2.0

_PAUSE_SECONDS = 0.01

Status = Literal["ok", "degraded", "down"]


class Health(TypedDict):
    """What `health_check` answers.

    Args:
        status: `ok`; `degraded`: messages flow, and something is wrong; `down`: none flow.
        queue_depth: messages that wait in all queues of the service; None: not known.
        queues: messages that wait, by queue; None: not known.
        agent: state, readiness and topology of the agent, as it says itself; None: it did not answer.
        broker: whether the agent has the broker, and which it is.
        problems: what is wrong, in words.
    """

    status: Status
    queue_depth: int | None
    queues: dict[str, int | None]
    agent: dict[str, Any] | None
    broker: dict[str, Any]
    problems: list[str]


class Examination:
    """Examines one bus.

    Args:
        link: the connection.
        admin: HOST:PORT of the agent's admin port.
    """

    def __init__(self, link: Link, admin: str) -> None:
        self._link = link
        self._admin = admin
        self._channel: AbstractRobustChannel | None = None
        self._asking = asyncio.Lock()

    async def run(self, queues: Sequence[str], *, has_agent: bool, idle: Sequence[str]) -> Health:
        """Look at everything at once.

        Args:
            queues: whose depth is asked for.
            has_agent: whether there is one to be asked.
            idle: patterns of subscriptions to which nothing comes.
        """
        asked = asyncio.to_thread(_ask_agent, self._admin) if has_agent else _nobody()
        agent, depths = await asyncio.gather(asked, self._depths(queues))
        problems: list[str] = []
        is_up = self._link.is_up
        if not is_up:
            problems.append("there is no connection to the agent")
        broker: dict[str, Any] = {"up": is_up if agent is None else bool(agent["broker_up"]), **self._link.broker}
        if has_agent and agent is None:
            problems.append(f"the agent does not answer at {self._admin}")
        if agent is not None:
            problems += _problems_of(agent)
            broker["blocked"] = agent.pop("blocked")
            agent.pop("broker_up")
        problems += [f"{queue} could not be asked" for queue, depth in depths.items() if depth is None and is_up]
        problems += [f"nothing comes to the subscription {pattern}" for pattern in idle if is_up]
        known = [depth for depth in depths.values() if depth is not None]
        return {
            "status": _status(is_down=not is_up or not broker["up"], problems=problems),
            "queue_depth": sum(known) if known or not depths else None,
            "queues": depths,
            "agent": agent,
            "broker": broker,
            "problems": problems,
        }

    async def close(self) -> None:
        """End."""
        if self._channel is not None and self._link.is_up:
            with suppress(*CONNECTION_EXCEPTIONS, TimeoutError):
                async with asyncio.timeout(DEPTH_SECONDS):
                    await self._channel.close()

    async def _depths(self, queues: Sequence[str]) -> dict[str, int | None]:
        depths: dict[str, int | None] = dict.fromkeys(queues)
        if not self._link.is_up:
            return depths
        try:
            async with asyncio.timeout(DEPTH_SECONDS), self._asking:
                for queue in queues:
                    depths[queue] = await self._depth(queue)
        except TimeoutError:
            pass  # what is not known by now stays so
        return depths

    async def _depth(self, queue: str) -> int | None:
        """Messages ready; None: there is no such queue, or it may not be seen."""
        while True:
            try:
                if self._channel is None:
                    self._channel = await self._link.channel()
                await self._channel.ready()
                underlay = await self._channel.get_underlay_channel()
                found = await underlay.queue_declare(queue, passive=True)
            except ChannelInvalidStateError:
                await asyncio.sleep(_PAUSE_SECONDS)  # it closed over another queue, and is on its way back
            except (*CONNECTION_EXCEPTIONS, NotConnected):
                return None
            else:
                return found.message_count


def _status(*, is_down: bool, problems: Sequence[str]) -> Status:
    if is_down:
        return "down"
    return "degraded" if problems else "ok"


def _problems_of(agent: dict[str, Any]) -> list[str]:
    found = []
    if not agent["ready"]:
        found.append(f"the agent is not ready: it is {agent['state']}")
    if not agent["broker_up"]:
        found.append("the agent has no connection to the broker")
    if agent["blocked"]:
        found.append("the broker takes no messages at the moment: it is short of memory or disk space")
    return found


def _ask_agent(admin: str) -> dict[str, Any] | None:
    """What /status says, as far as it is of interest here; None when nobody answers."""
    try:
        document = agent_status(admin, seconds=ADMIN_SECONDS)
        return {
            "service": document["service"],
            "version": document["version"],
            "state": document["state"],
            "ready": document["ready"],
            "topology": document["topology"]["sha"],
            "blocked": document["broker"]["blocked"],
            "broker_up": document["broker"]["up"],
        }
    except (AgentUnreachable, InvalidAgentUrl, KeyError, TypeError):
        return None


async def _nobody() -> None:
    return None
