"""The broker as a service sees it through its agent: every queue and exchange of its own, asked for passively.

A passive declaration makes nothing (AMQP 0-9-1, queue.declare, exchange.declare); nothing is published or consumed.
"""

from __future__ import annotations

from dataclasses import dataclass

import pika
import pika.exceptions

from letrade_topo.doctor.checkup import Seen, Verdict
from letrade_topo.model.topology import Topology

ANSWER_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class ServiceView:
    """What a service needs of the broker.

    Args:
        host, port: where its agent listens.
        topology: the topology.
        service: the service.
    """

    host: str
    port: int
    topology: Topology
    service: str

    def ask(self) -> Seen:
        """Ask for all of it."""
        service = self.topology.services[self.service]
        exchanges = sorted({self.topology.messages[name].exchange for name in service.publishes})
        queues = [queue.name for queue in self.topology.queues.values() if queue.service == self.service]
        missing: list[str] = []
        try:
            connection = pika.BlockingConnection(self._parameters())
        except (pika.exceptions.AMQPError, OSError) as error:
            return Seen(
                f"no AMQP connection through the agent at {self.host}:{self.port}",
                Verdict.FAILED,
                "the agent's log says why; with --local-password-file it lets in only who knows that password",
                str(error) or type(error).__name__,
                "LoginRefused",
            )
        with connection:
            for kind, names in (("exchange", exchanges), ("queue", queues)):
                missing += [found for name in names if (found := _missing(connection, kind, name))]
        if missing:
            return Seen(
                f"{self.service!r} does not find what it needs: {missing[0]}",
                Verdict.FAILED,
                "make it: `letrade-topo apply`",
                "; ".join(missing[1:]),
                "NotFound",
            )
        return Seen(f"{len(exchanges)} exchanges and {len(queues)} queues of {self.service!r} are there")

    def _parameters(self) -> pika.ConnectionParameters:
        return pika.ConnectionParameters(
            self.host,
            self.port,
            self.topology.vhost,
            socket_timeout=ANSWER_SECONDS,
            blocked_connection_timeout=ANSWER_SECONDS,
        )


def _missing(connection: pika.BlockingConnection, kind: str, name: str) -> str:
    """The broker's words where something is not there; empty where it is."""
    channel = connection.channel()
    try:
        if kind == "exchange":
            channel.exchange_declare(name, passive=True)
        else:
            channel.queue_declare(name, passive=True)
    except pika.exceptions.ChannelClosedByBroker as error:
        return f"{kind} {name!r}: {error.reply_text}"
    channel.close()
    return ""
