"""What this very broker would refuse, told by its version and its plug-ins before anything is written. Pure.

What every version refuses is `validate`'s to say (`letrade_topo.model.rules`); what cannot be told is left to the
broker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from letrade_topo.broker.capabilities import for_version, numbers_of
from letrade_topo.broker.objects import (
    Binding,
    BrokerObject,
    Exchange,
    OperatorPolicy,
    Parameter,
    Permission,
    Policy,
    Queue,
    TopicPermission,
    User,
)
from letrade_topo.broker.state import BrokerInfo
from letrade_topo.model.exchange_types import PLUGIN_EXCHANGES
from letrade_topo.model.messages import Json
from letrade_topo.model.names import ARGUMENT_QUEUE_TYPE
from letrade_topo.model.parameters import OPERATOR_SETTINGS, PARAMETER_PLUGINS
from letrade_topo.model.settings import OWN_PLUGINS, POLICY_SETTINGS, QUEUE_ARGUMENTS, Version, Versions
from letrade_topo.model.topology import ExchangeType, QueueType

MOST_TAGS = 32
_TAGS_COUNTED = (4, 3)
"""From when on a user may have no more tags than that (4.3.0: rabbit_auth_backend_internal)."""

_TOPIC_EXCHANGE_NEEDED = (4, 3, 2)
"""From when on a topic permission needs its exchange (4.3.2: rabbit_auth_backend_internal)."""


def reasons_to_refuse(thing: BrokerObject, broker: BrokerInfo, source_type: str = "") -> Iterator[str]:
    """Why a broker would not take an object, each reason with what to do; nothing where nothing is known against it.

    Args:
        thing: the object.
        broker: which.
        source_type: of a binding: the type of the exchange that it leaves from; of a topic permission, that it is for.
            Empty where there is none.
    """
    version = numbers_of(broker.version)
    match thing:
        case Binding(routing_key=key) if source_type == ExchangeType.TOPIC:
            most = for_version(broker.version).max_multi_wildcards
            if most is not None and key.split(".").count("#") > most:
                yield (
                    f"RabbitMQ {broker.version} takes {most} `#` in a binding key at most: write `*` for single words, "
                    "or several bindings"
                )
        case Exchange(type=kind):
            yield from _exchange_type(kind, broker)
        case Queue():
            yield from _arguments(thing, version, broker)
        case Policy():
            yield from _settings(thing.definition, version, broker)
            yield from _too_long({"pattern": thing.pattern}, broker)
            yield from _target(thing.apply_to, broker)
        case OperatorPolicy():
            yield from _operator_settings(thing, version, broker)
            yield from _too_long({"pattern": thing.pattern}, broker)
            yield from _target(thing.apply_to, broker)
        case Parameter(component=component):
            plugin = PARAMETER_PLUGINS.get(component, "")
            if plugin and not _is_enabled(plugin, broker):
                yield (
                    f"a {component} needs the plug-in {plugin}, which is not enabled there: enable it "
                    f"(rabbitmq-plugins enable {plugin})"
                )
        case Permission(configure=configure, write=write, read=read):
            yield from _too_long({"configure": configure, "write": write, "read": read}, broker)
        case TopicPermission(exchange=exchange, write=write, read=read):
            if exchange and not source_type and version >= _TOPIC_EXCHANGE_NEEDED:
                yield (
                    f"RabbitMQ {broker.version} refuses a topic permission on an exchange that does not exist, and "
                    f"there is no {exchange!r}: declare it, or remove the permission"
                )
            yield from _too_long({"write": write, "read": read}, broker)
        case User(tags=tags) if len(tags) > MOST_TAGS and version >= _TAGS_COUNTED:
            yield f"RabbitMQ {broker.version} allows {MOST_TAGS} tags, and it has {len(tags)}: remove some"
        case _:
            return


def _exchange_type(kind: str, broker: BrokerInfo) -> Iterator[str]:
    if broker.exchange_types is None or kind in broker.exchange_types:
        return
    known = PLUGIN_EXCHANGES.get(kind)
    if known is None:
        yield f"the broker knows no exchange type {kind!r}: enable the plug-in that has it"
    elif not known.versions.include(numbers_of(broker.version)):
        yield f"RabbitMQ {broker.version} has no exchange type {kind!r}, which is there {known.versions}"
    else:
        install = "" if known.is_shipped else "install it, as it does not come with RabbitMQ, and "
        yield (
            f"the exchange type {kind!r} is of the plug-in {known.plugin}, which is not enabled there: {install}"
            f"enable it (rabbitmq-plugins enable {known.plugin})"
        )


def _arguments(queue: Queue, version: Version, broker: BrokerInfo) -> Iterator[str]:
    kind = str(queue.arguments.get(ARGUMENT_QUEUE_TYPE, QueueType.CLASSIC))
    for name, value in queue.arguments.items():
        argument = QUEUE_ARGUMENTS.get(name)
        versions = argument.types.get(kind) if argument else None
        if argument is None or versions is None:
            continue
        if not versions.include(version):
            yield _wrong_version(f"the argument {name!r} of a {kind} queue", versions, broker)
        elif not _of(argument.narrower, value).include(version):
            yield _wrong_version(f"`{name}: {value}`", _of(argument.narrower, value), broker)


def _target(apply_to: str, broker: BrokerInfo) -> Iterator[str]:
    if not for_version(broker.version).policy_queue_types and apply_to.endswith(("_queues", "streams")):
        yield f"RabbitMQ {broker.version} knows no `apply-to: {apply_to}` (3.12 and newer do)"


def _operator_settings(policy: OperatorPolicy, version: Version, broker: BrokerInfo) -> Iterator[str]:
    for key in policy.definition:
        versions = OPERATOR_SETTINGS.get(key)
        if versions is not None and not versions.include(version):
            yield _wrong_version(f"the setting {key!r} of an operator policy", versions, broker)


def _settings(definition: Mapping[str, Json], version: Version, broker: BrokerInfo) -> Iterator[str]:
    for key, value in definition.items():
        setting = POLICY_SETTINGS.get(key)
        if setting is None:
            if broker.plugins is not None and broker.plugins <= OWN_PLUGINS:
                yield f"neither RabbitMQ nor an enabled plug-in knows the policy setting {key!r}: remove it"
        elif not setting.versions.include(version):
            yield _wrong_version(f"the policy setting {key!r}", setting.versions, broker)
        elif not _of(setting.narrower, value).include(version):
            yield _wrong_version(f"`{key}: {value}`", _of(setting.narrower, value), broker)
        elif setting.plugin and not _is_enabled(setting.plugin, broker):
            yield (
                f"the policy setting {key!r} is of the plug-in {setting.plugin}, which is not enabled there: enable it "
                f"(rabbitmq-plugins enable {setting.plugin}), or remove the setting"
            )


def _too_long(expressions: Mapping[str, str], broker: BrokerInfo) -> Iterator[str]:
    """Expressions over the length that newer versions take; `apply` would find out at the last stage but one."""
    longest = for_version(broker.version).max_pattern_bytes
    for name, expression in expressions.items():
        size = len(expression.encode())
        if longest is not None and size > longest:
            yield (
                f"RabbitMQ {broker.version} takes {longest:,} bytes of an expression, and its {name} has {size:,}: "
                "write what the names have in common"
            )


def _of(narrower: Mapping[str, Versions], value: Json) -> Versions:
    return narrower.get(str(value), Versions())


def _wrong_version(what: str, versions: Versions, broker: BrokerInfo) -> str:
    return f"RabbitMQ {broker.version} refuses {what}, which is taken {versions}: remove it"


def _is_enabled(plugin: str, broker: BrokerInfo) -> bool:
    """Whether a plug-in is enabled, for itself or because another one needs it; where nobody can tell, it is."""
    if broker.plugins is None:
        return True
    # A plug-in that others need is not listed by itself: rabbitmq_federation_management brings federation along.
    word = plugin.removeprefix("rabbitmq_")
    return any(word in one for one in broker.plugins)
