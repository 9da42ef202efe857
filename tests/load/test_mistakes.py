"""Mistakes that people make in a topology: what is advised, followed to the letter, makes the file valid."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.load.marked import diagnostics

pytestmark = pytest.mark.wide

BASE = """\
topology: 1
name: shop
vhost: shop
<top>
exchanges:
  orders: {type: topic}
  <exchange>
messages:
  order.placed:
    exchange: orders
    lifetime: 60s
    <message>
services:
  shop:
    password: {env: SHOP_PASSWORD}
    publishes: [order.placed]
    <service>
  billing:
    password: {env: BILLING_PASSWORD}
    consumes:
      - order.placed
      <item>
queues:
  billing.orders:
    service: billing
    messages: [order.placed]
    <queue>
  <queues>
"""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One of them.

    Args:
        where: a place of `BASE`; or a line of it, which is replaced.
        bad: what somebody wrote.
        rule: that tells of it.
        good: what is written instead, word for word in the advice unless `words` says otherwise.
        words: what of the advice leads to it.
    """

    where: str
    bad: str
    rule: str
    good: str
    words: str = ""

    def text(self, written: str) -> str:
        """The topology with this in its place."""
        place = f"<{self.where}>" if f"<{self.where}>" in BASE else self.where
        assert place in BASE, place
        text = BASE.replace(place, written)
        return "".join(line for line in text.splitlines(keepends=True) if not line.strip().startswith("<"))

    @property
    def line(self) -> int:
        """Where the mistake is, from 1."""
        mark = "# here"
        lines = self.text(f"{mark}\n{self.bad}").splitlines()
        return next(number for number, line in enumerate(lines, 1) if mark in line)


def named(where: str, bad: str, rule: str, good: str, words: str = "") -> object:
    """A case with what is written as its name."""
    return pytest.param(Mistake(where, bad, rule, good, words), id=bad.replace("\n", "|")[:50])


REMOVED = ""
CASES = [
    # the word none
    named("queue", "retry: false", "wrong-type", "retry: none"),
    named("queue", "retry: no", "not-allowed-value", "retry: none"),
    named("queue", "retry: None", "not-allowed-value", "retry: none"),
    named("queue", 'retry: "off"', "not-allowed-value", "retry: none"),
    named("queue", "retry: 0", "wrong-type", "retry: none"),
    named("queue", "retry:", "missing-value", "retry: none"),
    named("queue", "retry: []", "wrong-type", "retry: none"),
    named("queue", "retry: true", "wrong-type", REMOVED, "Remove the line"),
    named("queue", "retry: 5", "wrong-type", "retry: {max_retries: 5}"),
    named("queue", "retry: 10s", "not-allowed-value", "retry: {delay: 10s}"),
    named("queue", "dead_letter: false", "wrong-type", "dead_letter: none"),
    named("queue", "dead_letter: letrade.dlq", "not-allowed-value", "dead_letter: {exchange: letrade.dlq}"),
    # what YAML reads otherwise
    named("item", "- *.failed", "yaml-syntax", '- "*.failed"'),
    named("item", "- *", "yaml-syntax", '- "*"'),
    named("item", "- #", "wrong-type", '- "#"'),
    named("messages: [order.placed]", "messages: [order.placed, *.failed]",
          "yaml-syntax", "messages: [order.placed]", "*"),
    named("message", "description: note: all of them", "yaml-syntax", 'description: "note: all of them"'),
    named("message", "description: 'it's so'", "yaml-syntax", 'description: "it\'s so"'),
    named("message", "description: # 1 of them", "missing-value", 'description: "# 1 of them"'),
    named("message", "description: @all", "yaml-syntax", 'description: "@all"'),
    named("message", "description: %x", "yaml-syntax", 'description: "%x"'),
    named("message", 'description: "it is so', "yaml-syntax", 'description: "it is so"'),
    named("message", 'schema: {properties: {a: {pattern: "^\\d+$"}}}',
          "yaml-syntax", "schema: {properties: {a: {pattern: '^\\d+$'}}}"),
    named("top", "security: {tls: {minimum_version: 1.3}}",
          "wrong-type", 'security: {tls: {minimum_version: "1.3"}}', 'minimum_version: "1.3"'),
    named("top", "security: {tls: {minimum_version: TLSv1.2}}",
          "not-allowed-value", 'security: {tls: {minimum_version: "1.2"}}', 'Write "1.2"'),
    named("  orders: {type: topic}", "  orders: {type: topic, durable: yes}",
          "wrong-type", "  orders: {type: topic, durable: true}", "durable: true"),
    named("  orders: {type: topic}", "  orders: {type: topic, durable: 1}",
          "wrong-type", "  orders: {type: topic, durable: true}", "durable: true"),
    named("topology: 1", 'topology: "1"', "wrong-type", "topology: 1"),
    named("topology: 1", "topology: 1.0", "wrong-type", "topology: 1"),
    named("topology: 1", "version: 1", "unknown-key", "topology: 1"),
    # signs of YAML
    named("service: billing", "service:billing", "yaml-syntax", "service: billing"),
    named("service: billing", "service = billing", "yaml-syntax", "service: billing"),
    named("service: billing", "service billing", "yaml-syntax", "service: billing"),
    named("service: billing", "service: billing,", "stray-character", "service: billing", "Remove it"),
    named("service: billing", "service: “billing”", "stray-character", 'service: "billing"', 'Write "'),
    named("service: billing", "service: billing# the one",
          "stray-character", "service: billing # the one", "a space before"),
    named("    service: billing", "\tservice: billing", "yaml-syntax", "    service: billing", "4"),
    named("    service: billing", "\u00a0   service: billing",
          "stray-character", "    service: billing", "an ordinary space"),
    named("    service: billing", "     service: billing", "yaml-syntax", "    service: billing", "1 space less"),
    named("      - order.placed", "      -order.placed", "stray-character", "      - order.placed", "a space behind"),
    named("      - order.placed", "      order.placed", "wrong-type", "      - order.placed", "[order.placed]"),
    named("messages: [order.placed]", "messages: [order.placed", "yaml-syntax", "messages: [order.placed]"),
    named("messages: [order.placed]", "messages: order.placed]",
          "stray-character", "messages: [order.placed]", "Remove"),
    named("password: {env: SHOP_PASSWORD}", "password: {env: SHOP_PASSWORD", "yaml-syntax", "password: {env: NAME}"),
    named("  orders: {type: topic}", "  orders: type: topic",
          "yaml-syntax", "  orders: {type: topic}", "orders: {type: topic}"),
    # durations, sizes, numbers
    named("queue", "message_ttl: 5000", "duration", "message_ttl: 5000ms", "5000ms"),
    named("queue", "message_ttl: 5 sec", "duration", "message_ttl: 5s", "Write 5s"),
    named("queue", "message_ttl: 1w", "duration", "message_ttl: 7d", "Write 7d"),
    named("queue", "message_ttl: PT5S", "duration", "message_ttl: 5s", "Write 5s"),
    named("queue", "message_ttl: 1h30m", "duration", "message_ttl: 90m", "Write 90m"),
    named("queue", "message_ttl: never", "duration", REMOVED, "remove the line"),
    named("queue", "message_ttl: -1", "duration", REMOVED, "remove the line"),
    named("queue", "max_length_bytes: 1000000", "size", "max_length_bytes: 1000000B", "1000000B"),
    named("queue", "max_length_bytes: 10Mb", "size", "max_length_bytes: 10MiB", "10MiB"),
    named("top", "limits: {message_size: 128}", "size", "limits: {message_size: 128KiB}", "128KiB"),
    named("top", "limits: {message_size: 128KB}", "size", "limits: {message_size: 128KiB}", "128KiB"),
    named("queue", 'max_length: "1000"', "wrong-type", "max_length: 1000"),
    named("queue", "max_length: 1k", "wrong-type", "max_length: 1000"),
    named("queue", "max_length: 1,000", "wrong-type", "max_length: 1000"),
    named("queue", "retry: {max_retries: three}", "wrong-type", "retry: {max_retries: 3}", "max_retries: 3"),
    named("queue", "retry: {delay: 5}", "duration", "retry: {delay: 5s}", "5s"),
    named("lifetime: 60s", "lifetime: 60", "duration", "lifetime: 60s", "Write 60s"),
    named("lifetime: 60s", "lifetime:", "missing-value", "lifetime: 60s", "Write a value"),
    # words of RabbitMQ and other tools
    named("queue", "ttl: 5s", "unknown-key", "message_ttl: 5s"),
    named("queue", "x-message-ttl: 5s", "unknown-key", "message_ttl: 5s"),
    named("queue", "arguments: {x-message-ttl: 5s}", "argument-with-a-field", "message_ttl: 5s", "message_ttl"),
    named("queue", "durable: yes", "wrong-type", "durable: true"),
    named("queue", "autoDelete: false", "unknown-key", "auto_delete: false", "auto_delete"),
    named("queue", "exclusive: false", "unknown-key", REMOVED, "Remove the line"),
    named("queue", "routing_key: order.placed", "unknown-key", REMOVED, "`messages`"),
    named("queue", "bindings: [order.placed]", "unknown-key", REMOVED, "`messages`"),
    named("queue", "dead_letter_exchange: amq.fanout",
          "unknown-key", "dead_letter: none", "dead_letter: {exchange: NAME}"),
    named("queue", "maxLength: 10", "unknown-key", "max_length: 10", "max_length"),
    named("queue", "max length: 10", "unknown-key", "max_length: 10", "max_length"),
    named("queue", "retry: {retries: 3}", "unknown-key", "retry: {max_retries: 3}", "max_retries"),
    named("queue", "prefetch: 10", "unknown-key", REMOVED, "Remove the line"),
    named("queue", "type: lazy", "not-allowed-value", "type: quorum", "quorum"),
    named("service: billing", "consumer: billing", "unknown-key", "service: billing", "Write `service`"),
    named("publishes: [order.placed]", "publish: [order.placed]",
          "unknown-key", "publishes: [order.placed]", "publishes"),
    named("    consumes:", "    subscribes:", "unknown-key", "    consumes:", "consumes"),
    named("service", "prefetch: 10", "unknown-key", REMOVED, "Remove the line"),
    named("  orders: {type: topic}", "  orders: {type: Topic}",
          "not-allowed-value", "  orders: {type: topic}", "topic"),
    named("  orders: {type: topic}", "  orders: topic",
          "wrong-type", "  orders: {type: topic}", "orders: {type: topic}"),
    named("  orders: {type: topic}", "  - orders: {type: topic}",
          "wrong-type", "  orders: {type: topic}", "Remove the dash"),
    named("  orders: {type: topic}", "  - name: orders", "wrong-type", "  orders:", "orders:"),
    named("    messages: [order.placed]", "    messages: order.placed",
          "wrong-type", "    messages: [order.placed]", "messages: [order.placed]"),
    named("    exchange: orders", "    on: orders", "unknown-key", "    exchange: orders", "exchange"),
    named("    exchange: orders", "    exchange: order", "undeclared-exchange", "    exchange: orders", "orders"),
    named("service: billing", "service: Billing", "undeclared-service", "service: billing", "billing"),
    named("top", "bindings:\n  source: orders\n  queue: billing.orders",
          "wrong-type", "bindings:\n  - source: orders\n    queue: billing.orders", "`- `"),
    named("top", "bindings: [{source: orders, destination: billing.orders}]",
          "unknown-key", "bindings: [{source: orders, queue: billing.orders}]", "queue: NAME"),
    named("top", "users: {a: {password: {env: A}, tags: administrator}}",
          "wrong-type", "users: {a: {password: {env: A}, tags: [administrator]}}", "tags: [administrator]"),
    named("top", "ownership: true", "wrong-type", "ownership: exclusive", "exclusive"),
    named("top", "security: {tls: true}", "wrong-type", "security: {tls: {required: true}}", "tls: {required: true}"),
    named("top", "broker: https://rabbit:15671",
          "wrong-type", "broker: {management: 'https://rabbit.example.com:15671'}"),
    named("top", "include: other.yaml", "unknown-key", REMOVED, "--overlay"),
    named("name: shop", "name: My Shop", "topology-name", "name: my-shop"),
    named("message", "schema: order.json", "wrong-type", "schema: {type: object}"),
    named("message", "schema: {type: str}", "json-schema", "schema: {type: string}", "string"),
    named("message", "schema: {properties: {a: {required: true}}}",
          "json-schema", "schema: {properties: {a: {}}, required: [a]}", "required: [NAME]"),
    named("message", "sensitive: [card.number]", "sensitive-pointer", "sensitive: [/card/number]", "/card/number"),
    # variables and templates
    named("vhost: shop", "vhost: ${VHOST}",
          "undeclared-variable", "vhost: ${VHOST}\nvariables: {VHOST: shop}", "Declare it"),
    named("vhost: shop", "vhost: $VHOST", "stray-character", "vhost: ${VHOST}\nvariables: {VHOST: shop}", "${VHOST}"),
    named("vhost: shop", "vhost: ${var.vhost}",
          "variable-name", "vhost: ${vhost}\nvariables: {vhost: shop}", "${vhost}"),
    named("vhost: shop", 'vhost: "{{ .Values.vhost }}"',
          "variable-name", "vhost: ${vhost}\nvariables: {vhost: shop}", "${vhost}"),
    named("vhost: shop", "vhost: {{ vhost }}", "key-not-text", "vhost: ${vhost}\nvariables: {vhost: shop}", "${vhost}"),
    # secrets
    named("password: {env: SHOP_PASSWORD}", "password: {env: $P}",
          "secret-reference", "password: {env: P}", "{env: P}"),
    named("password: {env: SHOP_PASSWORD}", "password: {env: ${P}}", "yaml-syntax", "password: {env: NAME}"),
    named("password: {env: SHOP_PASSWORD}", 'password: {env: "${P}"}',
          "secret-reference", "password: {env: P}", "{env: P}"),
    named("password: {env: SHOP_PASSWORD}", "password: ${pw}",
          "secret-literal", "password: {env: NAME}", "{env: NAME}"),
    named("password: {env: SHOP_PASSWORD}", "password: hunter2",
          "secret-literal", "password: {env: NAME}", "{env: NAME}"),
    named("password: {env: SHOP_PASSWORD}", "password: {value: hunter2}",
          "unknown-key", "password: {env: NAME}", "{env: NAME}"),
    named("password: {env: SHOP_PASSWORD}", "password: env: SHOP", "yaml-syntax", "password: {env: NAME}"),
    named("password: {env: SHOP_PASSWORD}", "password_file: /run/secret", "unknown-key", "password: {file: PATH}"),
]  # fmt: skip


@pytest.mark.parametrize("mistake", CASES)
def test_advice_leads_to_a_valid_file(mistake: Mistake) -> None:
    """One error, at the line, with what to write; and what it says to write is right."""
    errors = [item for item in diagnostics(mistake.text(mistake.bad)) if item.is_error]

    assert [item.rule for item in errors] == [mistake.rule], "\n".join(map(str, errors))
    assert mistake.line <= errors[0].location.line <= mistake.line + mistake.bad.count("\n"), errors[0]
    assert (mistake.words or mistake.good.strip()) in errors[0].fix, errors[0]
    assert [str(item) for item in diagnostics(mistake.text(mistake.good)) if item.is_error] == []


def test_a_key_with_a_space_is_told_with_one_that_has_none() -> None:
    """A routing key is typed by people, who do not see the space."""
    text = Mistake("top", "", "", "").text("").replace("order.placed", "order placed")

    errors = [item for item in diagnostics(text) if item.is_error]

    assert [item.rule for item in errors] == ["key-template"]
    assert "order_placed" in errors[0].fix


def test_an_empty_section_is_told() -> None:
    """Everything under it may have been lost in a merge."""
    text = Mistake("top", "", "", "").text("")
    (item,) = diagnostics(text[: text.index("  billing.orders:")])

    assert (item.rule, item.is_error, item.location.line) == ("empty-section", False, 19)
    assert "`queues: {}`" in item.fix
