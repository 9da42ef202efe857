"""Letrade's message bus for asyncio: `from letrade_topo.bus import MessageBus`.

Stands on the model, the topology file, keys' header texts and messages; speaks to an agent by aio-pika (extra `bus`).
"""

from importlib.util import find_spec

if find_spec("aio_pika") is None:
    raise ImportError("letrade_topo.bus needs aio-pika: install letrade-topo[bus]")

from letrade_topo.bus.bus import MessageBus
from letrade_topo.bus.errors import (
    BatchFailed,
    BusError,
    ConfigurationError,
    DestinationError,
    DestinationRefused,
    NotConnected,
    PatternError,
    PayloadError,
    PublishError,
    PublishRefused,
    QueueFull,
    RequestTimeout,
    SchemaRefused,
    TooLarge,
    Unconfirmed,
    Unroutable,
)
from letrade_topo.bus.health import Health
from letrade_topo.bus.message import Message
from letrade_topo.bus.opened import Responder
from letrade_topo.bus.publishing import OnLoss
from letrade_topo.bus.subscription import Handler, Subscription

__all__ = [
    "BatchFailed",
    "BusError",
    "ConfigurationError",
    "DestinationError",
    "DestinationRefused",
    "Handler",
    "Health",
    "Message",
    "MessageBus",
    "NotConnected",
    "OnLoss",
    "PatternError",
    "PayloadError",
    "PublishError",
    "PublishRefused",
    "QueueFull",
    "RequestTimeout",
    "Responder",
    "SchemaRefused",
    "Subscription",
    "TooLarge",
    "Unconfirmed",
    "Unroutable",
]
