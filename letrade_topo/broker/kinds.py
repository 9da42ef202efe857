"""The kinds of broker objects, and what is true of all objects of a kind."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias

from letrade_topo.model.messages import Json

Attributes: TypeAlias = dict[str, Json]


class Kind(StrEnum):
    """The kinds of objects that the tool manages."""

    VHOST = "vhost"
    VHOST_LIMIT = "vhost-limit"
    USER = "user"
    USER_LIMIT = "user-limit"
    EXCHANGE = "exchange"
    POLICY = "policy"
    OPERATOR_POLICY = "operator-policy"
    QUEUE = "queue"
    BINDING = "binding"
    TOPIC_PERMISSION = "topic-permission"
    PERMISSION = "permission"
    PARAMETER = "parameter"
    GLOBAL_PARAMETER = "global-parameter"


IMMUTABLE_KINDS: Final = frozenset({Kind.EXCHANGE, Kind.QUEUE, Kind.BINDING})
"""Objects whose attributes the broker never changes: a difference means replace."""

CLUSTER_KINDS: Final = frozenset({Kind.USER, Kind.USER_LIMIT, Kind.GLOBAL_PARAMETER})
"""Objects that live outside any vhost, so another topology may use them too."""

OF_OTHERS_KINDS: Final = CLUSTER_KINDS | {Kind.OPERATOR_POLICY, Kind.PARAMETER}
"""Objects that somebody else may have, in a vhost of ours alone, too: an operator, or who moves messages."""
