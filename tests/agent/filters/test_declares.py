"""What a service may declare, bind, delete and consume, in every mode."""

from __future__ import annotations

from itertools import product

import pytest
from letrade_agent.config import DeclareMode, Undeclared
from letrade_agent.filters.bindings import covers
from letrade_agent.filters.decisions import Refusal
from letrade_agent.filters.rulings import Absorbed, Pass, Ruling

from letrade_topo.amqp.channel_commands import Cancel, Consume, Get, Qos
from letrade_topo.amqp.command import Command
from letrade_topo.amqp.faults import AmqpFault, ReplyCode
from letrade_topo.amqp.header_table import HeaderTable
from letrade_topo.amqp.topology_commands import (
    ExchangeBind,
    ExchangeBindOk,
    ExchangeDeclare,
    ExchangeDeclareOk,
    ExchangeDelete,
    ExchangeUnbind,
    QueueBind,
    QueueBindOk,
    QueueDeclare,
    QueueDeclareOk,
    QueueDelete,
    QueuePurge,
    QueueUnbind,
)
from letrade_topo.model.routing import binding_matches
from letrade_topo.model.topology import Topology
from tests.agent.filters.world import agent, text_entry
from tests.topologies import loaded, orders

OWN, FOREIGN, RUN_TIME = b"strategy.error", b"core_engine.error", b"strategy.sub.1"
KNOWN_QUEUES = [OWN, FOREIGN, b"letrade.dlq", b"strategy.error.rejected", b"strategy.error.retry.2"]
ARGUMENTS = HeaderTable((text_entry(b"x-queue-type", b"classic"),))


def rule(
    command: Command,
    declares: DeclareMode = DeclareMode.ABSORB,
    undeclared: Undeclared = Undeclared.REFUSE,
    model: Topology | None = None,
    service: str = "strategy",
) -> Ruling:
    """The ruling beside a service."""
    one = agent(service, model=model, declares=declares, undeclared=undeclared)
    return one.filters.declares.rule(command)


def refused(ruling: Ruling) -> str:
    """The text of a refusal, which it has to be: 403."""
    assert isinstance(ruling, Refusal), ruling
    assert ruling.code == ReplyCode.ACCESS_REFUSED
    return ruling.text


def exchange_declare(name: bytes, *, passive: bool = False, no_wait: bool = False) -> ExchangeDeclare:
    """Declares an exchange."""
    return ExchangeDeclare(exchange=name, exchange_type=b"fanout", passive=passive, no_wait=no_wait)


@pytest.mark.parametrize("name", [b"letrade.commands", b"letrade.dlq", b"letrade.retry"])
def test_a_declare_of_an_exchange_that_the_topology_owns_is_answered(name: bytes) -> None:
    """Whatever arguments it sends; it is there, and no service has a right to configure."""
    assert rule(exchange_declare(name)) == Absorbed(ExchangeDeclareOk())
    assert rule(exchange_declare(name, no_wait=True)) == Absorbed(None)
    assert rule(exchange_declare(name), DeclareMode.ALLOW) == Pass()
    assert "letrade-topo" in refused(rule(exchange_declare(name), DeclareMode.REFUSE))
    assert rule(exchange_declare(name, passive=True), DeclareMode.REFUSE) == Pass()


@pytest.mark.parametrize("mode", list(DeclareMode))
def test_an_unknown_exchange_is_created_only_in_adoption(mode: DeclareMode) -> None:
    """A4: `undeclared` decides; asking whether one is there does no harm."""
    text = refused(rule(exchange_declare(b"mine"), mode))
    assert text == (
        "configure access to exchange 'mine' in vhost 'letrade' refused for user 'strategy': "
        "the topology does not declare it"
    )
    assert rule(exchange_declare(b"mine"), mode, Undeclared.PASS) == Pass()
    assert rule(exchange_declare(b"mine", passive=True), mode) == Pass()


def test_a_declare_of_the_services_own_queue_becomes_passive() -> None:
    """A4: true counts, whatever arguments were sent."""
    command = QueueDeclare(queue=OWN, durable=True, auto_delete=True, arguments=ARGUMENTS)
    assert rule(command) == Absorbed(None, QueueDeclare(queue=OWN, passive=True))
    waived = QueueDeclare(queue=OWN, no_wait=True)
    assert rule(waived) == Absorbed(None, QueueDeclare(queue=OWN, passive=True, no_wait=True))


@pytest.mark.parametrize("name", KNOWN_QUEUES[1:])
def test_a_declare_of_another_queue_that_the_topology_owns_is_answered(name: bytes) -> None:
    """Services that share one piece of code declare each other's; newer brokers answer only who has rights on it."""
    assert rule(QueueDeclare(queue=name, arguments=ARGUMENTS)) == Absorbed(QueueDeclareOk(queue=name))
    assert rule(QueueDeclare(queue=name, no_wait=True)) == Absorbed(None)


@pytest.mark.parametrize("name", KNOWN_QUEUES)
def test_a_declare_of_a_queue_that_the_topology_owns_goes_by_the_mode(name: bytes) -> None:
    """Asking whether one is there does no harm."""
    command = QueueDeclare(queue=name, durable=True, auto_delete=True, arguments=ARGUMENTS)
    assert rule(command, DeclareMode.ALLOW) == Pass()
    refused(rule(command, DeclareMode.REFUSE))
    assert rule(QueueDeclare(queue=name, passive=True), DeclareMode.REFUSE) == Pass()


@pytest.mark.parametrize("mode", list(DeclareMode))
def test_run_time_queues_are_the_services_own(mode: DeclareMode) -> None:
    """Decisions: `<service>.reply.<id>` and `<service>.sub.<id>`; nobody else's, and no name without an id."""
    for name in (b"strategy.reply.1", b"strategy.sub.abc"):
        command = QueueDeclare(queue=name, exclusive=True, arguments=ARGUMENTS)
        assert rule(command, mode) == Pass()
        assert rule(QueueDelete(queue=name), mode) == Pass()
        assert rule(QueuePurge(queue=name), mode) == Pass()
        assert rule(QueueUnbind(queue=name, exchange=b"letrade.events", routing_key=b"k"), mode) == Pass()
    for name in (b"core_engine.reply.1", b"strategy.reply.", b"strategy.other.1", b"strategy.sub"):
        refused(rule(QueueDeclare(queue=name, exclusive=True), mode))


@pytest.mark.parametrize("mode", list(DeclareMode))
@pytest.mark.parametrize("undeclared", list(Undeclared))
def test_a_server_named_exclusive_queue_gets_a_name_that_the_service_has_rights_for(
    mode: DeclareMode, undeclared: Undeclared
) -> None:
    """Everything else of the declare stays; each gets another name; the answer is needed for the name's sake."""
    declares = agent(declares=mode, undeclared=undeclared).filters.declares
    command = QueueDeclare(queue=b"", exclusive=True, auto_delete=True, no_wait=True, arguments=ARGUMENTS)
    names = set()
    for _ in range(3):
        ruling = declares.rule(command)
        assert isinstance(ruling, Absorbed)
        made = ruling.replacement
        assert isinstance(made, QueueDeclare)
        assert (made.exclusive, made.auto_delete, made.passive, made.no_wait) == (True, True, False, False)
        assert made.arguments == ARGUMENTS
        assert made.queue.startswith(b"strategy.reply.")
        assert len(made.queue) == len("strategy.reply.") + 24
        names.add(made.queue)
    assert len(names) == 3


def test_a_server_named_queue_that_would_stay_for_ever_is_refused() -> None:
    """Nobody would delete it; in adoption the broker decides."""
    assert "exclusive" in refused(rule(QueueDeclare(queue=b"")))
    assert rule(QueueDeclare(queue=b""), undeclared=Undeclared.PASS) == Pass()


def test_an_unknown_queue_is_created_only_in_adoption() -> None:
    """A4."""
    refused(rule(QueueDeclare(queue=b"mine")))
    refused(rule(QueueDeclare(queue=b"mine"), DeclareMode.ALLOW))
    assert rule(QueueDeclare(queue=b"mine"), undeclared=Undeclared.PASS) == Pass()


@pytest.mark.parametrize("mode", list(DeclareMode))
def test_the_refusal_of_an_unknown_queue_names_the_prefixes_that_work(mode: DeclareMode) -> None:
    """And all of it fits into a reply's 255 bytes, with a name such as libraries make up."""
    name = b"reply.celery.pidbox.0123456789abcdef"
    text = refused(rule(QueueDeclare(queue=name, auto_delete=True), mode))
    assert text.endswith("; own ones begin with 'strategy.reply.' or 'strategy.sub.'")
    assert AmqpFault(ReplyCode.ACCESS_REFUSED, text).reply_text.decode().endswith(text)


@pytest.mark.parametrize("mode", list(DeclareMode))
def test_a_queue_that_aio_pika_names_itself_gets_a_name_that_the_service_has_rights_for(mode: DeclareMode) -> None:
    """The same one each time, so that it can be declared again; it has to be exclusive, as every run-time queue."""
    name = b"amq_0123456789abcdef0123456789abcdef"
    command = QueueDeclare(queue=name, exclusive=True, auto_delete=True, arguments=ARGUMENTS)
    made = QueueDeclare(queue=b"strategy.reply." + name, exclusive=True, auto_delete=True, arguments=ARGUMENTS)
    assert rule(command, mode) == Absorbed(None, made)
    assert rule(made, mode) == Pass()
    assert rule(command, mode, Undeclared.PASS) == Pass()
    refused(rule(QueueDeclare(queue=name, auto_delete=True), mode))
    refused(rule(QueueDeclare(queue=name + b"0", exclusive=True), mode))


def test_a_prefetch_for_a_channel_becomes_one_for_each_consumer() -> None:
    """Where declares are absorbed, too; a quorum queue knows no other."""
    for count in (0, 1, 65_535):
        assert rule(Qos(prefetch_count=count, global_=True)) == Absorbed(None, Qos(prefetch_count=count))
        assert rule(Qos(prefetch_count=count)) == Pass()
    assert rule(Qos(prefetch_count=1, global_=True), DeclareMode.ALLOW) == Pass()
    assert rule(Qos(prefetch_count=1, global_=True), DeclareMode.REFUSE) == Pass()


def bind(queue: bytes, exchange: bytes, key: bytes, *, no_wait: bool = False) -> QueueBind:
    """Binds a queue."""
    return QueueBind(queue=queue, exchange=exchange, routing_key=key, no_wait=no_wait)


@pytest.mark.parametrize(
    ("queue", "exchange", "key", "there"),
    [
        (OWN, b"letrade.events", b"events.error", True),
        (b"strategy.market_data", b"letrade.events", b"market_data.*.*", True),
        (b"strategy.market_data", b"letrade.events", b"market_data.binance.btcusdt", True),
        (b"strategy.market_data", b"letrade.events", b"market_data.binance.*", True),
        (b"strategy.market_data", b"letrade.events", b"market_data.#", False),
        (OWN, b"letrade.events", b"events.trade_executed", False),
        (OWN, b"letrade.events", b"#", False),
        (OWN, b"letrade.commands", b"events.error", False),
        (OWN, b"amq.topic", b"events.error", False),
        (FOREIGN, b"letrade.events", b"events.error", True),
        (FOREIGN, b"letrade.events", b"market_data.*.*", False),
        (b"letrade.dlq", b"letrade.dlq", b"#", True),
        (b"strategy.error.rejected", b"letrade.retry", b"strategy.error.rejected", True),
    ],
)
def test_a_binding_that_the_topology_has_is_answered_and_no_other_made(
    queue: bytes, exchange: bytes, key: bytes, there: bool
) -> None:
    """A4: binds are checked; one that is covered by a wider one is there already."""
    ruling = rule(bind(queue, exchange, key))
    if there:
        assert ruling == Absorbed(QueueBindOk())
        assert rule(bind(queue, exchange, key, no_wait=True)) == Absorbed(None)
    else:
        assert "the topology has no binding" in refused(ruling)
    refused(rule(bind(queue, exchange, key), DeclareMode.REFUSE))
    assert rule(bind(queue, exchange, key), DeclareMode.ALLOW) == Pass()


@pytest.mark.parametrize(
    ("exchange", "key", "allowed"),
    [
        (b"letrade.requests", b"response.capital.allocation", True),
        (b"letrade.events", b"market_data.binance.*", True),
        (b"letrade.events", b"market_data.*.*", True),
        (b"letrade.events", b"*.strategy_123.*", True),
        (b"letrade.commands", b"*.strategy_123.*", True),
        (b"letrade.events", b"#", False),
        (b"letrade.events", b"market_data.#", False),
        (b"letrade.events", b"*.*", False),
        (b"letrade.commands", b"commands.execute_trade", False),
        (b"letrade.requests", b"request.capital.allocation", False),
        (b"letrade.events", b"*.*.*", False),
        (b"letrade.dlq", b"#", False),
        (b"letrade.retry", b"#", False),
        (b"amq.topic", b"events.error", False),
        (b"", b"x", False),
    ],
)
def test_a_run_time_queue_is_bound_to_what_the_service_consumes(exchange: bytes, key: bytes, allowed: bool) -> None:
    """The rule of its topic permission, so that the refusal comes with a reason."""
    ruling = rule(bind(RUN_TIME, exchange, key))
    assert ruling == Pass() if allowed else refused(ruling)


def test_in_adoption_a_run_time_queue_may_listen_to_what_is_not_declared() -> None:
    """And still not to what the service does not consume."""
    assert rule(bind(RUN_TIME, b"amq.topic", b"k"), undeclared=Undeclared.PASS) == Pass()
    refused(rule(bind(RUN_TIME, b"letrade.commands", b"#"), undeclared=Undeclared.PASS))


def test_an_unknown_queue_is_bound_only_in_adoption() -> None:
    """A4."""
    refused(rule(bind(b"mine", b"letrade.events", b"k")))
    assert rule(bind(b"mine", b"letrade.events", b"k"), undeclared=Undeclared.PASS) == Pass()


@pytest.mark.parametrize("name", KNOWN_QUEUES)
@pytest.mark.parametrize("kind", [QueueDelete, QueuePurge])
def test_what_the_topology_owns_is_neither_deleted_nor_purged(
    name: bytes, kind: type[QueueDelete | QueuePurge]
) -> None:
    """Not even the service's own queue, and not in adoption either."""
    command: Command = kind(queue=name)
    for undeclared in Undeclared:
        refused(rule(command, DeclareMode.ABSORB, undeclared))
        refused(rule(command, DeclareMode.REFUSE, undeclared))
        assert rule(command, DeclareMode.ALLOW, undeclared) == Pass()


@pytest.mark.parametrize(
    "command",
    [
        QueueDelete(queue=b"mine"),
        QueuePurge(queue=b"mine"),
        QueueUnbind(queue=b"mine", exchange=b"e", routing_key=b"k"),
        ExchangeDelete(exchange=b"mine"),
        ExchangeBind(destination=b"mine", source=b"letrade.events", routing_key=b"k"),
        ExchangeUnbind(destination=b"mine", source=b"letrade.events", routing_key=b"k"),
        Consume(queue=b"mine"),
        Get(queue=b"mine"),
    ],
    ids=lambda command: command.method.name,
)
def test_what_the_topology_does_not_know_is_the_services_own_in_adoption(command: Command) -> None:
    """A4: everything unknown passes there, and nothing of it otherwise."""
    assert "the topology does not declare it" in refused(rule(command))
    assert rule(command, undeclared=Undeclared.PASS) == Pass()


@pytest.mark.parametrize(
    "command",
    [
        QueueUnbind(queue=OWN, exchange=b"letrade.events", routing_key=b"events.error"),
        ExchangeDelete(exchange=b"letrade.events"),
        ExchangeUnbind(destination=b"letrade.events", source=b"mine", routing_key=b"k"),
        ExchangeBind(destination=b"letrade.events", source=b"mine", routing_key=b"k"),
    ],
    ids=lambda command: command.method.name,
)
def test_what_the_topology_owns_is_not_changed(command: Command) -> None:
    """In adoption neither; only `allow` leaves it to the broker's rights."""
    refused(rule(command))
    refused(rule(command, undeclared=Undeclared.PASS))
    assert rule(command, DeclareMode.ALLOW) == Pass()


def test_bindings_of_exchanges_that_the_topology_has_are_answered() -> None:
    """By the meaning that each exchange type gives its keys."""
    types = {"orders": "topic", "copies": "fanout", "exact": "direct"}
    model = loaded(
        orders(
            exchanges={name: {"type": kind} for name, kind in types.items()},
            bindings=[
                {"source": "orders", "exchange": "copies", "routing_key": "order.#"},
                {"source": "copies", "queue": "clerk.orders"},
                {"source": "exact", "queue": "clerk.orders", "routing_key": "k"},
            ],
        )
    )
    bound = ExchangeBind(destination=b"copies", source=b"orders", routing_key=b"order.placed")
    assert rule(bound, model=model, service="clerk") == Absorbed(ExchangeBindOk())
    assert rule(bind(b"clerk.orders", b"copies", b"any"), model=model, service="clerk") == Absorbed(QueueBindOk())
    assert rule(bind(b"clerk.orders", b"exact", b"k"), model=model, service="clerk") == Absorbed(QueueBindOk())
    refused(rule(bind(b"clerk.orders", b"exact", b"other"), model=model, service="clerk"))


@pytest.mark.parametrize("kind", [Consume, Get])
def test_only_own_queues_are_consumed(kind: type[Consume | Get]) -> None:
    """In the broker's words; a foreign queue in adoption neither."""
    for name in (OWN, RUN_TIME):
        assert rule(kind(queue=name)) == Pass()
    for name in (FOREIGN, b"letrade.dlq", b"strategy.error.rejected", b"core_engine.sub.1"):
        text = refused(rule(kind(queue=name)))
        assert text.startswith(f"read access to queue '{name.decode()}' in vhost 'letrade' refused for user 'strategy'")
    for name in (FOREIGN, b"letrade.dlq", b"strategy.error.rejected"):
        refused(rule(kind(queue=name), undeclared=Undeclared.PASS))
        refused(rule(kind(queue=name), DeclareMode.ALLOW))


def test_direct_reply_to_is_for_services_that_opted_in() -> None:
    """It needs a right that reaches every queue of the vhost."""
    command = Consume(queue=b"amq.rabbitmq.reply-to", no_ack=True)
    assert "direct reply-to" in refused(rule(command))
    assert rule(command, undeclared=Undeclared.PASS) == Pass()
    clerk = {"consumes": ["order.placed", "order.{id}.changed"]}
    model = loaded(orders(services={"shop": {"direct_reply_to": True}, "clerk": clerk}))
    assert rule(command, model=model, service="shop") == Pass()


@pytest.mark.parametrize(
    "command",
    [
        bind(b"", b"letrade.events", b"k"),
        QueueUnbind(queue=b"", exchange=b"letrade.events", routing_key=b"k"),
        QueueDelete(queue=b""),
        QueuePurge(queue=b""),
        Consume(queue=b""),
        Get(queue=b""),
    ],
    ids=lambda command: command.method.name,
)
def test_no_name_and_no_declare_before_is_not_found(command: Command) -> None:
    """As the broker has it, 404."""
    ruling = rule(command)
    assert isinstance(ruling, Refusal)
    assert (ruling.code, ruling.text) == (ReplyCode.NOT_FOUND, "no previously declared queue")


def test_a_command_of_another_kind_is_refused() -> None:
    """Fail closed: whoever asks about more than this was built for gets no."""
    refused(rule(Cancel(consumer_tag=b"c")))


def test_what_is_covered_brings_no_message_more() -> None:
    """A binding that is answered locally matches nothing that the topology's own does not: every pair of patterns."""
    patterns = [".".join(words) for length in (1, 2, 3) for words in product("ab*#", repeat=length)]
    keys = ["", *(".".join(words) for length in (1, 2, 3, 4) for words in product("ab", repeat=length))]
    matched = {pattern: {key for key in keys if binding_matches(pattern, key)} for pattern in patterns}
    covered = [(bound, asked) for bound, asked in product(patterns, repeat=2) if covers(bound, asked)]
    assert all(matched[asked] <= matched[bound] for bound, asked in covered)
    assert {("a.*", "a.b"), ("a.*", "a.*"), ("a.#", "a.b.*"), ("a.#", "a.#"), ("#", "#.a")} <= set(covered)
