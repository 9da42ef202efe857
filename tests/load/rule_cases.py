"""For each rule, topologies that break it in marked places, and near misses that break nothing."""

from __future__ import annotations

# The tail of a topology in which one type is published and consumed.
FLOW = """\
exchanges: {x: {}}
messages: {a.b: {exchange: x, lifetime: 1s}}
services:
  s: {publishes: [a.b], consumes: [a.b]}
"""

BROKEN: dict[str, list[str]] = {
    "undeclared-exchange": [
        FLOW + "bindings:\n  - {source: «undeclared-exchange»y, queue: t.dlq}\n"
        "dead_letter: {exchange: t.dlq, queue: t.dlq}\n",
        "exchanges: {x: {alternate_exchange: «undeclared-exchange»xx}}\n",
        "exchanges: {x: {}}\nbindings:\n  - source: x\n    exchange: «undeclared-exchange»amq.default\n",
        "users: {u: {topic_permissions: [{exchange: «undeclared-exchange»nope}]}}\n",
        "messages:\n  a.b:\n    exchange: «undeclared-exchange»x\n    lifetime: 1s\n"
        "services: {s: {publishes: [a.b], consumes: [a.b]}}\n",
    ],
    "undeclared-message": [
        FLOW + "  r:\n    publishes:\n      - a.b\n      - «undeclared-message»a.c\n",
        FLOW.replace("consumes: [a.b]", "consumes: [a.b, «undeclared-message»a.bb]"),
        FLOW + "queues: {q: {service: s, messages: [a.b, «undeclared-message»nope]}}\n",
        FLOW.replace("consumes: [a.b]", "consumes: [a.b, «undeclared-message»events.trade_*]"),
    ],
    "undeclared-service": [FLOW + "queues: {q: {service: «undeclared-service»ss, messages: [a.b]}}\n"],
    "undeclared-queue": [
        FLOW + "bindings:\n  - source: x\n    queue: «undeclared-queue»nope\n",
        FLOW
        + "queues: {q: {service: s, messages: [a.b], dead_letter: {exchange: '', routing_key: «undeclared-queue»z}}}\n",
    ],
    "empty-name": ["exchanges: {«empty-name»'': {}}\n", "users: {«empty-name»'': {password: {env: A}}}\n"],
    "name-characters": ['exchanges: {«name-characters»"a ": {}}\n', 'exchanges: {«name-characters»"a\\tb": {}}\n'],
    "name-too-long": [
        f"exchanges:\n  «name-too-long»{'e' * 256}: {{}}\n",
        f"exchanges:\n  «name-too-long»{'가' * 86}: {{}}\n",
        FLOW + f"queues:\n  «name-too-long»{'q' * 247}: {{service: s, messages: [a.b]}}\n",
        f"exchanges: {{x: {{}}}}\nmessages:\n  «name-too-long»{'k' * 251}: {{exchange: x, lifetime: 1s}}\n"
        f"services: {{s: {{publishes: [{'k' * 251}], consumes: [{'k' * 251}]}}}}\n",
        FLOW + f"bindings: [{{source: x, queue: letrade.dlq, routing_key: «name-too-long»{'k' * 256}}}]\n",
    ],
    "reserved-name": [
        "exchanges:\n  «reserved-name»amq.mine: {}\n",
        FLOW + "queues:\n  «reserved-name»letrade-topo.lock.t: {service: s, messages: [a.b]}\n",
        "dead_letter: {queue: «reserved-name»amq.dead}\n",
    ],
    "derived-name": [
        FLOW + "queues:\n  q: {service: s, messages: [a.b]}\n  «derived-name»q.rejected: {messages: [a.b]}\n",
        FLOW + "queues:\n  q: {service: s, messages: [a.b]}\n  «derived-name»q.retry.3: {messages: [a.b]}\n",
        "exchanges:\n  «derived-name»letrade.dlq: {}\n",
        FLOW + "queues:\n  «derived-name»letrade.dlq: {messages: [a.b]}\n",
        FLOW + "queues:\n  «derived-name»s.reply.x: {messages: [a.b]}\n",
        FLOW + "  «derived-name»s.sub.x: {publishes: [a.b]}\n",
        "dead_letter: {exchange: d, retry_exchange: «derived-name»d}\n",
        "policies:\n  «derived-name»t.consumer: {pattern: ^other$, definition: {max-length: 1}}\n",
    ],
    "exchange-and-queue-name": [FLOW + "queues:\n  «exchange-and-queue-name»x: {messages: [a.b]}\n"],
    "ambiguous-key": [
        FLOW + "  r: {publishes: [c], consumes: [c]}\n".replace("c", "'a.{z}'") + "",  # completed below
    ],
    "exchange-type-for-messages": [
        FLOW.replace("x: {}", "x: {type: direct}").replace("exchange: x", "exchange: «exchange-type-for-messages»x"),
        FLOW.replace("x: {}", "x: {internal: true}").replace("exchange: x", "exchange: «exchange-type-for-messages»x"),
        FLOW.replace("exchange: x", "exchange: «exchange-type-for-messages»letrade.dlq"),
    ],
    "lifetime": [FLOW.replace("lifetime: 1s", "lifetime: «lifetime»0s")],
    "binding-key": [FLOW + "bindings:\n  - {source: x, queue: letrade.dlq, routing_key: «binding-key»a.trade_*}\n"],
    "duplicate-binding": [
        FLOW + "queues: {q: {service: s, messages: [a.b]}}\nbindings:\n"
        "  - «duplicate-binding»{source: x, queue: q, routing_key: a.b}\n",
        FLOW + "bindings:\n  - {source: x, queue: letrade.dlq, routing_key: r}\n"
        "  - «duplicate-binding»{source: x, queue: letrade.dlq, routing_key: r}\n",
    ],
    "sensitive-pointer": [
        FLOW.replace("lifetime: 1s", "lifetime: 1s, sensitive: [«sensitive-pointer»amount]"),
        FLOW.replace("lifetime: 1s", "lifetime: 1s, sensitive: [«sensitive-pointer»/a~2]"),
        FLOW.replace(
            "lifetime: 1s", "lifetime: 1s, sensitive: [«sensitive-pointer»/amout], schema: {properties: {amount: {}}}"
        ),
        FLOW.replace("lifetime: 1s", "lifetime: 1s, sensitive: [/a, «sensitive-pointer»/a/b]"),
        FLOW.replace(
            "lifetime: 1s",
            "lifetime: 1s, sensitive: [«sensitive-pointer»/a/c],"
            " schema: {properties: {a: {$ref: '#/$defs/d'}}, $defs: {d: {properties: {b: {}}}}}",
        ),
    ],
    "published-not-consumed": [FLOW.replace("[a.b], consumes: [a.b]", "[«published-not-consumed»a.b]")],
    "consumed-not-published": [FLOW.replace("publishes: [a.b], consumes: [", "consumes: [«consumed-not-published»")],
    "message-unused": [FLOW.replace("{a.b:", "{«message-unused»c: {exchange: x, lifetime: 1s}, a.b:")],
    "queue-not-consumed-by-service": [
        FLOW.replace("  s: {publishes: [a.b], consumes: [a.b]}", "  s: {publishes: [a.b]}")
        + "queues: {q: {service: s, messages: [«queue-not-consumed-by-service»a.b]}}\n"
    ],
    "type-in-two-queues": [
        FLOW + "queues:\n  q: {service: s, messages: [a.b]}\n  r: {service: s, messages: [«type-in-two-queues»a.b]}\n"
    ],
    "queue-without-bindings": [FLOW + "queues:\n  «queue-without-bindings»q: {service: s}\n"],
    "pattern-without-messages": [FLOW.replace("consumes: [a.b]", "consumes: [a.b, «pattern-without-messages»'c.*']")],
    "dead-letter-unroutable": [
        FLOW + "queues:\n  q:\n    service: s\n    messages: [a.b]\n"
        "    «dead-letter-unroutable»dead_letter: {exchange: x, routing_key: c}\n",
        FLOW.replace("x: {}", "x: {}, h: {type: direct}")
        + "queues:\n  q: {service: s, messages: [a.b], «dead-letter-unroutable»dead_letter: {exchange: h}}\n",
    ],
    "dead-letter-cycle": [
        FLOW + "queues:\n  q: {service: s, messages: [a.b], «dead-letter-cycle»dead_letter: {exchange: x}}\n",
        FLOW.replace("x: {}", "x: {}, h: {type: fanout}")
        + "queues:\n  q: {service: s, messages: [a.b], «dead-letter-cycle»dead_letter: {exchange: h}}\n"
        "  r: {message_ttl: 1s, dead_letter: {exchange: '', routing_key: q}}\n"
        "bindings: [{source: h, queue: r}]\n",
    ],
    "quorum-max-priority": [
        FLOW + "queues: {q: {service: s, messages: [a.b], «quorum-max-priority»max_priority: 5}}\n"
    ],
    "stream-feature": [
        FLOW + "queues: {q: {service: s, messages: [a.b], type: stream, «stream-feature»message_ttl: 1s}}\n",
        FLOW + "queues: {q: {service: s, messages: [a.b], type: stream, «stream-feature»retry: none}}\n",
        FLOW + "queues: {q: {service: s, messages: [a.b], type: stream, «stream-feature»guarantee: at_most_once}}\n",
    ],
    "delivery-limit-type": [
        FLOW + "queues: {q: {messages: [a.b], type: classic, «delivery-limit-type»delivery_limit: 5}}\n"
    ],
    "classic-retry": [FLOW + "queues: {q: {service: s, messages: [a.b], type: «classic-retry»classic}}\n"],
    "classic-dead-letter": [
        FLOW
        + "queues:\n  q: {messages: [a.b], type: «classic-dead-letter»classic, dead_letter: {exchange: letrade.dlq}}\n"
    ],
    "at-most-once-needs-limit": [
        FLOW + "queues: {q: {service: s, messages: [a.b], guarantee: «at-most-once-needs-limit»at_most_once}}\n"
    ],
    "at-most-once-dead-letter": [
        FLOW + "queues:\n  q:\n    {service: s, messages: [a.b], max_length: 1, guarantee: at_most_once,\n"
        "     «at-most-once-dead-letter»retry: {delay: 1s}}\n",
    ],
    "queue-limit": [
        FLOW + "queues: {q: {messages: [a.b], expires: «queue-limit»0s}}\n",
        FLOW + "queues: {q: {messages: [a.b], message_ttl: «queue-limit»50d}}\n",
    ],
    "queue-expires": [FLOW + "queues: {q: {service: s, messages: [a.b], expires: «queue-expires»1d}}\n"],
    "retry-delay": [
        FLOW + "queues: {q: {service: s, messages: [a.b], retry: {delay: «retry-delay»0s}}}\n",
        FLOW + "queues: {q: {service: s, messages: [a.b], «retry-delay»retry: {max_retries: 20, delay: 1h}}}\n",
        FLOW + "«retry-delay»retry: {max_retries: 10, multiplier: 100}\nqueues: {q: {service: s, messages: [a.b]}}\n",
    ],
    "retry-and-dead-letter": [
        FLOW + "queues:\n  q:\n    service: s\n    messages: [a.b]\n    dead_letter: none\n"
        "    «retry-and-dead-letter»retry: {delay: 1s}\n"
    ],
    "retry-without-service": [FLOW + "queues: {q: {messages: [a.b], «retry-without-service»retry: {delay: 1s}}}\n"],
    "argument-with-a-field": [
        FLOW + "queues: {q: {service: s, messages: [a.b], arguments: {«argument-with-a-field»x-message-ttl: 5}}}\n",
        "exchanges: {x: {arguments: {«argument-with-a-field»alternate-exchange: y}}}\n",
    ],
    "unknown-argument": [
        FLOW + "queues: {q: {service: s, messages: [a.b], arguments: {«unknown-argument»x-maxage: 5}}}\n"
    ],
    "user-collision": [
        FLOW + "  r: {publishes: [a.b], user: «user-collision»s}\n",
        FLOW + "users: {«user-collision»s: {}}\n",
        FLOW + "  r: {publishes: [a.b], user: q}\n  «user-collision»q: {publishes: [a.b]}\n",
    ],
    "service-without-login": [
        "topology: 1\nname: t\nvhost: v\n" + FLOW.replace("  s:", "  «service-without-login»s:"),
    ],
    "user-without-login": ["topology: 1\nname: t\nvhost: v\nusers:\n  «user-without-login»u: {}\n"],
    "direct-reply-to": [FLOW.replace("consumes:", "direct_reply_to: «direct-reply-to»true, consumes:")],
    "permission-pattern": [
        "users: {u: {permissions: {read: «permission-pattern»'^(a$'}}}\n",
        "exchanges: {x: {}}\nusers: {u: {topic_permissions: [{exchange: x, write: «permission-pattern»'*'}]}}\n",
    ],
    "permission-not-anchored": ["users: {u: {permissions: {read: «permission-not-anchored»orders}}}\n"],
    "topic-permission-exchange": [
        "exchanges: {x: {type: fanout}}\nusers: {u: {topic_permissions: [{exchange: «topic-permission-exchange»x}]}}\n"
    ],
    "service-without-messages": ["services:\n  «service-without-messages»s:\n"],
    "secret-in-url": ["broker: {management: «secret-in-url»'https://me:geheim@broker:15671'}\n"],
    "policy-pattern": ["policies: {p: {pattern: «policy-pattern»'^(', definition: {max-length: 1}}}\n"],
    "policy-not-anchored": ["policies: {p: {pattern: «policy-not-anchored»orders, definition: {max-length: 1}}}\n"],
    "policy-empty": ["policies: {p: {pattern: ^a$, definition: «policy-empty»{}}}\n"],
    "policy-key": ["policies: {p: {pattern: ^a$, definition: {«policy-key»max_length: 1}}}\n"],
    "policy-over-queue": [
        FLOW + "queues: {q: {service: s, messages: [a.b]}}\n"
        "policies: {p: {pattern: «policy-over-queue»'^q$', definition: {max-length: 1}}}\n"
    ],
    "ignore-pattern": ["ignore:\n  - «ignore-pattern»federation.*\n", "ignore: [«ignore-pattern»queues:x]\n"],
    "message-size": ["limits: {message_size: «message-size»0B}\n", "limits: {message_size: «message-size»1GiB}\n"],
    "message-size-default": ["limits: {message_size: «message-size-default»17MiB}\n"],
    "claim-check-store": [
        "claim_check: {store: «claim-check-store»'s3://key:secret@bucket/prefix'}\n",
        "claim_check: {store: «claim-check-store»'memory://claims'}\n",
        "claim_check: {store: «claim-check-store»'s4://bucket'}\n",
        "claim_check: {store: «claim-check-store»'s3:///prefix'}\n",
        "claim_check: {store: «claim-check-store»'s3://bucket/prefix?region=x'}\n",
        "claim_check: {store: «claim-check-store»'://bucket'}\n",
    ],
    "claim-check-size": [
        "claim_check: {max_size: «claim-check-size»128KiB}\n",
        "claim_check: {max_size: «claim-check-size»65MiB}\n",
    ],
    "claim-check-retention": [
        FLOW.replace("1s", "2h") + "claim_check: {retention: «claim-check-retention»1h}\n",
        "claim_check: {retention: «claim-check-retention»0s}\n",
    ],
    "max-queues": [FLOW + "limits: {max_queues: «max-queues»6}\nqueues: {q: {service: s, messages: [a.b]}}\n"],
    "duplicate-key": [
        "exchanges:\n  x: {}\n  «duplicate-key»x: {}\n",
        FLOW + "«duplicate-key»exchanges: {}\n",
        "limits: {max_queues: 50, «duplicate-key»max_queues: 60}\n",
    ],
    "key-not-text": [
        "exchanges:\n  «key-not-text»1: {}\n",
        "exchanges: {«key-not-text»true: {}}\n",
        "«key-not-text»[a]: 1\n",
    ],
    "merge-key": ["exchanges:\n  x: &x {durable: false}\n  y: {«merge-key»<<: *x}\n"],
    "duplicate-anchor": ["exchanges:\n  x: &a {}\n  y: «duplicate-anchor»&a {}\n"],
    "unknown-alias": ["exchanges:\n  x: «unknown-alias»*a\n", "exchanges: &a\n  x: «unknown-alias»*a\n"],
    "ambiguous-value": [
        "environment: «ambiguous-value»1:30\n",
        "environment: «ambiguous-value»010\n",
        "limits: {max_queues: «ambiguous-value».inf}\n",
        "environment: «ambiguous-value»!secret x\n",
        "exchanges: «ambiguous-value»!!set {x: }\n",
    ],
    "several-documents": ["exchanges: {}\n«several-documents»---\ntopology: 1\n"],
    "yaml-syntax": [
        "exchanges:\n«yaml-syntax»\tx: {}\n",
        "exchanges: [a,\nqueues: {}«yaml-syntax»\n",
        "exchanges: x«yaml-syntax»: {}\n",
    ],
    "unknown-key": [
        "«unknown-key»queue: {}\n",
        "limits: {«unknown-key»max_queue: 1}\n",
        "exchanges: {x: {«unknown-key»kind: topic}}\n",
        "security: {tls: {«unknown-key»version: '1.2'}}\n".replace(
            "security", "topology: 1\nname: t\nvhost: v\nsecurity"
        ),
        "users: {u: {topic_permissions: [{exchange: amq.topic, «unknown-key»wirte: x}]}}\n",
        "broker: {password: {env: A, «unknown-key»vault: x}}\n",
    ],
    "missing-key": [
        "topology: 1\n«missing-key»name: t\n".replace("topology: 1\n«missing-key»", "«missing-key»topology: 1\n"),
        FLOW.replace("{exchange: x, lifetime: 1s}", "{exchange: x}").replace("a.b:", "«missing-key»a.b:"),
        "policies:\n  «missing-key»p:\n    pattern: ^a$\n",
        "bindings:\n  - «missing-key»queue: letrade.dlq\n",
    ],
    "missing-value": [
        "«missing-value»environment:\n",
        "exchanges:\n  x:\n    «missing-value»type:\n",
        "exchanges: {x: {arguments: {a: «missing-value»~}}}\n",
    ],
    "wrong-type": [
        "environment: «wrong-type»1.2\n",
        "exchanges: «wrong-type»[x]\n",
        "exchanges: {x: {durable: «wrong-type»yes}}\n",
        "limits: {max_queues: «wrong-type»'50'}\n",
        "exchanges: {x: «wrong-type»topic}\n",
        "bindings:\n  - «wrong-type»7\n",
        FLOW.replace("publishes: [a.b]", "publishes: [a.b, «wrong-type»{c: d}]"),
    ],
    "not-allowed-value": [
        "ownership: «not-allowed-value»exclusiv\n",
        FLOW + "queues: {q: {service: s, messages: [a.b], retry: «not-allowed-value»never}}\n",
        "topology: «not-allowed-value»2\nname: t\nvhost: v\n",
    ],
    "out-of-range": [
        "retry: {max_retries: «out-of-range»21}\n",
        "retry: {max_retries: «out-of-range»-1}\n",
        FLOW + "queues: {q: {service: s, messages: [a.b], arguments: {y: «out-of-range»9223372036854775808}}}\n",
        "retry: {delay: «out-of-range»999999999999d}\n",
    ],
    "empty-text": [
        "topology: 1\nname: t\nvhost: «empty-text»''\n",
        FLOW.replace("consumes: [", "consumes: [«empty-text»'', "),
    ],
    "duplicate-item": [FLOW.replace("consumes: [a.b]", "consumes: [a.b, «duplicate-item»a.b]")],
    "duration": [
        "retry: {delay: «duration»5}\n",
        "retry: {delay: «duration»5 sec}\n",
        "retry: {delay: «duration»true}\n",
    ],
    "size": ["limits: {message_size: «size»131072}\n", "limits: {message_size: «size»128 Kb}\n"],
    "topology-name": [
        "topology: 1\nname: «topology-name»my.bus\nvhost: v\n",
        f"topology: 1\nname: «topology-name»{'n' * 64}\nvhost: v\n",
    ],
    "secret-literal": [
        "broker: {password: «secret-literal»geheim}\n",
        "users: {u: {password: «secret-literal»12345}}\n",
    ],
    "secret-reference": [
        "broker: {password: «secret-reference»{}}\n",
        "broker: {password: «secret-reference»{env: A, file: b}}\n",
        "broker: {password: {env: «secret-reference»''}}\n",
    ],
    "binding-destination": [
        FLOW + "bindings:\n  - «binding-destination»{source: x}\n",
        FLOW + "bindings:\n  - «binding-destination»{source: x, queue: letrade.dlq, exchange: x}\n",
    ],
    "key-template": [
        "exchanges: {x: {}}\nmessages: {«key-template»a..b: {exchange: x, lifetime: 1s}}\n"
        "services: {s: {publishes: [a..b], consumes: [a..b]}}\n",
        FLOW.replace("lifetime: 1s", "lifetime: 1s, key: «key-template»'a.{b'"),
        FLOW.replace("consumes: [a.b]", "consumes: [a.b, «key-template»'*.{b']"),
    ],
    "json-schema": [
        FLOW.replace("lifetime: 1s", "lifetime: 1s, schema: {type: «json-schema»objekt}"),
        FLOW.replace("lifetime: 1s", "lifetime: 1s, schema: {properties: {a: {minimum: «json-schema»'1'}}}"),
        FLOW.replace("lifetime: 1s", "lifetime: 1s, schema: {properties: {a: {pattern: «json-schema»'('}}}"),
        FLOW.replace("lifetime: 1s", "lifetime: 1s, schema: {$ref: «json-schema»'https://x.example/y'}"),
        FLOW.replace("lifetime: 1s", "lifetime: 1s, schema: {$ref: «json-schema»'#/$defs/x'}"),
        FLOW.replace("lifetime: 1s", "lifetime: 1s, schema: {$ref: «json-schema»'#'}"),
        FLOW.replace(
            "lifetime: 1s", "lifetime: 1s, schema: {$schema: «json-schema»'http://json-schema.org/draft-07/schema#'}"
        ),
    ],
    "json-schema-keyword": [
        FLOW.replace("lifetime: 1s", "lifetime: 1s, schema: {properties: {a: {«json-schema-keyword»minLenght: 1}}}")
    ],
    "json-schema-required": [
        FLOW.replace(
            "lifetime: 1s",
            "lifetime: 1s, schema: {required: [a, «json-schema-required»bb], properties: {a: {}, b: {}}}",
        )
    ],
    "undeclared-variable": ["environment: «undeclared-variable»${nowhere}\n"],
    "variable-name": [
        "environment: «variable-name»${no-name}\n",
        "variables: {«variable-name»a-b: x}\n",
        "variables: {ab: x, «variable-name»AB: y}\n",
    ],
    "variable-default": ["variables: {a: «variable-default»[1]}\n", "variables: {a: b, c: «variable-default»'${a}'}\n"],
    "variable-in-key": ["variables: {a: b}\nexchanges: {«variable-in-key»'x.${a}': {}}\n"],
}

TWO_TYPES = """\
exchanges: {{x: {{}}, y: {{}}}}
messages:
  {first}: {{exchange: x, lifetime: 1s}}
  {second}: {{exchange: {exchange}, lifetime: 1s}}
services:
  s: {{publishes: [{names}], consumes: [{names}]}}
"""


def two_types(first: str, second: str, exchange: str = "x", mark: str = "") -> str:
    """Two message types, the second marked."""
    names = f"'{first}', '{second}'"
    return TWO_TYPES.format(first=f"'{first}'", second=f"{mark}'{second}'", exchange=exchange, names=names)


BROKEN["ambiguous-key"] = [
    two_types("a.{x}", "a.b", mark="«ambiguous-key»"),
    two_types("a.b", "{x}.b", mark="«ambiguous-key»"),
    two_types("a.{x}.c", "{y}.b.{z}", mark="«ambiguous-key»"),
    two_types("a.x_{x}", "a.{y}_x", mark="«ambiguous-key»"),
    FLOW.replace(
        "{a.b:", "{c: {exchange: x, lifetime: 1s, key: d}, e: {exchange: x, lifetime: 1s, key: «ambiguous-key»d}, a.b:"
    ).replace("[a.b]", "[a.b, c, e]"),
]

NEAR_MISSES: dict[str, list[str]] = {
    "undeclared-exchange": [
        FLOW + "bindings:\n  - {source: amq.topic, queue: letrade.dlq}\n"
        "  - {source: letrade.dlq, exchange: letrade.retry}\n",
        "exchanges: {x: {alternate_exchange: y}, y: {type: fanout}}\n",
    ],
    "undeclared-message": [FLOW.replace("consumes: [a.b]", "consumes: [a.b, 'a.*', '#']")],
    "undeclared-service": [FLOW + "queues: {q: {service: s, messages: [a.b]}}\n"],
    "undeclared-queue": [
        FLOW + "bindings: [{source: x, queue: letrade.dlq}]\n",
        FLOW + "queues:\n  q: {service: s, messages: [a.b], dead_letter: {exchange: '', routing_key: letrade.dlq}}\n",
    ],
    "empty-name": ["exchanges: {' x y ': {}}\n".replace(" x y ", "x y")],
    "name-characters": ["exchanges: {'a b': {}, 가: {}}\n"],
    "name-too-long": [
        f"exchanges: {{{'e' * 255}: {{}}}}\n",
        FLOW + f"queues: {{{'q' * 246}: {{service: s, messages: [a.b]}}}}\n",
        FLOW + f"queues: {{{'q' * 255}: {{service: s, messages: [a.b], dead_letter: none}}}}\n",
    ],
    "reserved-name": ["exchanges: {amq: {}, amqp.x: {}, letrade-topology: {}}\n"],
    "derived-name": [
        FLOW + "queues:\n  q: {service: s, messages: [a.b]}\n  q.retry.4: {messages: [a.b]}\n"
        "  s.replies: {messages: [a.b]}\n",
        FLOW + "queues:\n  q: {messages: [a.b]}\n  q.rejected: {messages: [a.b]}\n",
    ],
    "exchange-and-queue-name": [FLOW + "queues: {x.q: {messages: [a.b]}}\n"],
    "ambiguous-key": [
        two_types("a.{x}", "a.b", exchange="y"),
        two_types("a.{x}", "a.b.c"),
        two_types("a.{x}", "b.{x}"),
        two_types("a.x_{x}", "a.y_{x}"),
        two_types("a.b{x}", "a.b"),
    ],
    "exchange-type-for-messages": [FLOW.replace("x: {}", "x: {type: topic, durable: false}")],
    "lifetime": [FLOW.replace("1s", "1ms")],
    "binding-key": [
        FLOW + "bindings: [{source: x, queue: letrade.dlq, routing_key: 'a.*.#'}]\n",
        "exchanges: {x: {type: direct}}\nbindings: [{source: x, queue: letrade.dlq, routing_key: 'a_*'}]\n",
    ],
    "duplicate-binding": [
        FLOW + "bindings:\n  - {source: x, queue: letrade.dlq, routing_key: a}\n"
        "  - {source: x, queue: letrade.dlq, routing_key: a, arguments: {h: 1}}\n"
    ],
    "sensitive-pointer": [
        FLOW.replace("lifetime: 1s", "lifetime: 1s, sensitive: [/a/0/b, /c~1d, /ab]"),
        FLOW.replace(
            "lifetime: 1s",
            "lifetime: 1s, sensitive: [/a/0/b, /c/d],"
            " schema: {properties: {a: {items: {properties: {b: {}}}}, c: {anyOf: [{type: object}]}}}",
        ),
    ],
    "published-not-consumed": [
        FLOW.replace(", consumes: [a.b]", "") + "queues: {q: {messages: [a.b]}}\n",
        FLOW.replace("consumes: [a.b]", "consumes: ['a.*']"),
        FLOW.replace(", consumes: [a.b]", "")
        + "queues: {q: }\nbindings: [{source: x, queue: q, routing_key: '*.b'}]\n",
    ],
    "consumed-not-published": [FLOW],
    "message-unused": [FLOW],
    "queue-not-consumed-by-service": [FLOW + "queues: {q: {service: s, messages: [a.b]}, r: {messages: [a.b]}}\n"],
    "type-in-two-queues": [FLOW + "queues:\n  q: {service: s, messages: [a.b]}\n  r: {messages: [a.b]}\n"],
    "queue-without-bindings": [
        FLOW + "queues:\n  q: {service: s, messages: [a.b], dead_letter: {exchange: '', routing_key: r}}\n  r:\n"
    ],
    "pattern-without-messages": [FLOW.replace("consumes: [a.b]", "consumes: [a.b, '*.b', '#', 'a.#']")],
    "dead-letter-unroutable": [
        FLOW + "queues: {q: {service: s, messages: [a.b], dead_letter: {exchange: letrade.dlq}}}\n",
        FLOW.replace("x: {}", "x: {}, h: {type: direct, alternate_exchange: letrade.dlq}")
        + "queues: {q: {service: s, messages: [a.b], dead_letter: {exchange: h}}}\n",
    ],
    "dead-letter-cycle": [
        FLOW.replace("x: {}", "x: {}, h: {type: fanout}")
        + "queues:\n  q: {service: s, messages: [a.b], dead_letter: {exchange: h}}\n  r:\n"
        "bindings: [{source: h, queue: r}]\n",
        FLOW + "queues: {q: {service: s, messages: [a.b]}}\n",
    ],
    "quorum-max-priority": [FLOW + "queues: {q: {messages: [a.b], type: classic, max_priority: 5}}\n"],
    "stream-feature": [
        FLOW + "queues: {q: {service: s, messages: [a.b], type: stream, max_length_bytes: 1GB, "
        "arguments: {x-max-age: 7D}}}\n"
    ],
    "delivery-limit-type": [FLOW + "queues: {q: {messages: [a.b], delivery_limit: 5}}\n"],
    "classic-retry": [FLOW + "queues: {q: {service: s, messages: [a.b], type: classic, dead_letter: none}}\n"],
    "classic-dead-letter": [
        FLOW + "queues: {q: {service: s, messages: [a.b], dead_letter: {exchange: letrade.dlq}}}\n"
    ],
    "at-most-once-needs-limit": [
        FLOW + "queues: {q: {service: s, messages: [a.b], guarantee: at_most_once, max_length_bytes: 1MB}}\n"
    ],
    "at-most-once-dead-letter": [
        FLOW + "queues: {q: {service: s, messages: [a.b], guarantee: at_most_once, max_length: 1, dead_letter: none}}\n"
    ],
    "queue-limit": [FLOW + "queues: {q: {messages: [a.b], expires: 49d, message_ttl: 0s}}\n"],
    "queue-expires": [
        FLOW + "queues: {q: {service: s, messages: [a.b], expires: 1d, guarantee: at_most_once, max_length: 9}}\n"
    ],
    "retry-delay": [
        FLOW + "queues: {q: {service: s, messages: [a.b], retry: {max_retries: 20, delay: 1s}}}\n",
        FLOW + "queues: {q: {service: s, messages: [a.b], retry: {max_retries: 0, delay: 0s}}}\n",
    ],
    "retry-and-dead-letter": [FLOW + "queues: {q: {service: s, messages: [a.b], dead_letter: none, retry: none}}\n"],
    "retry-without-service": [FLOW + "queues: {q: {service: s, messages: [a.b], retry: {delay: 1s}}}\n"],
    "argument-with-a-field": [
        FLOW + "queues: {q: {service: s, messages: [a.b], arguments: {x-queue-leader-locator: balanced}}}\n"
    ],
    "unknown-argument": [FLOW + "queues: {q: {service: s, messages: [a.b], arguments: {my-own: 1}}}\n"],
    "user-collision": [FLOW + "  r: {publishes: [a.b], user: rr}\nusers: {r: {}}\n"],
    "service-without-login": [
        "topology: 1\nname: t\nvhost: v\n" + FLOW.replace("consumes:", "password: {env: P}, consumes:"),
        FLOW,
    ],
    "user-without-login": ["topology: 1\nname: t\nvhost: v\nusers: {u: {password: {file: p}}}\n", "users: {u: {}}\n"],
    "direct-reply-to": [FLOW.replace("consumes:", "direct_reply_to: false, consumes:")],
    "permission-pattern": ["users: {u: {permissions: {read: '^(?<n>a|b)$', write: '^(?<=x)y$'}}}\n"],
    "permission-not-anchored": ["users: {u: {permissions: {read: .*, write: '^a$', configure: ''}}}\n"],
    "topic-permission-exchange": ["exchanges: {x: }\nusers: {u: {topic_permissions: [{exchange: x, write: ^a$}]}}\n"],
    "service-without-messages": [FLOW],
    "secret-in-url": ["broker: {management: 'https://broker:15671/prefix'}\n"],
    "policy-pattern": ["policies: {p: {pattern: '^(?<n>a)$', definition: {max-length: 1}}}\n"],
    "policy-not-anchored": ["policies: {p: {pattern: .*, definition: {max-length: 1}}}\n"],
    "policy-empty": ["policies: {p: {pattern: ^a, definition: {max-length: 1}}}\n"],
    "policy-key": ["policies: {p: {pattern: ^a, definition: {federation-upstream-set: all}}}\n"],
    "policy-over-queue": [
        FLOW + "queues: {q: {service: s, messages: [a.b]}}\n"
        "policies: {p: {pattern: '^other', definition: {max-length: 1}}, r: {pattern: '^q$', apply_to: exchanges,"
        " definition: {alternate-exchange: x}}}\n"
    ],
    "ignore-pattern": ["ignore: ['queue:federation.*', 'user:monitoring', '*:x']\n"],
    "message-size": ["limits: {message_size: 1B}\n"],
    "message-size-default": ["limits: {message_size: 16MiB}\n"],
    "claim-check-store": [
        "claim_check: {store: 's3://bucket/prefix'}\n",
        "claim_check: {store: 'file:///srv/claims'}\n",
        "claim_check: {store: claims@home}\n",
        "claim_check:\n",
    ],
    "claim-check-size": [
        "claim_check: {max_size: 64MiB}\n",
        "limits: {message_size: 1KiB}\nclaim_check: {max_size: 1025B}\n",
    ],
    "claim-check-retention": [FLOW + "claim_check: {retention: 1s}\n"],
    "max-queues": [FLOW + "limits: {max_queues: 7}\nqueues: {q: {service: s, messages: [a.b]}}\n"],
    "duplicate-key": ["exchanges: {x: {}, X: {}}\n"],
    "key-not-text": ["exchanges: {'1': {}, yes: {}, 'true': {}}\n"],
    "merge-key": ["exchanges: {x: &x {durable: false}, y: *x}\n"],
    "duplicate-anchor": ["exchanges: {x: &a {}, y: &b {}}\n"],
    "unknown-alias": ["exchanges: {x: &a {}, y: *a}\n"],
    "ambiguous-value": ["environment: '1:30'\n", "environment: 2024-01-01\n", "environment: !!str 010\n"],
    "several-documents": ["exchanges: {}\n...\n"],
    "yaml-syntax": ["exchanges:\n  x: {}\n"],
    "unknown-key": ["queues: {}\n"],
    "missing-key": [FLOW, "policies: {}\n"],
    "missing-value": ["exchanges:\n  x:\nqueues:\nbindings:\n"],
    "wrong-type": ["environment: yes\n", "environment: '1.2'\n", "exchanges: {x: {durable: True}}\n"],
    "not-allowed-value": [FLOW.replace("x: {}", "x: {mode: off}")],
    "out-of-range": ["retry: {max_retries: 20, delay: 1s}\n", "limits: {max_queues: -1}\n"],
    "empty-text": ["environment: ''\n"],
    "duplicate-item": [FLOW + "  r: {publishes: [a.b]}\n"],
    "duration": ["retry: {delay: 1.5m}\n"],
    "size": ["limits: {message_size: 0.5 MiB}\n"],
    "topology-name": [f"topology: 1\nname: n{'_' * 62}\nvhost: v\n"],
    "secret-literal": ["users: {u: {password: {file: p}}}\n"],
    "secret-reference": ["broker: {password: {env: A}}\n"],
    "binding-destination": [FLOW + "bindings: [{source: x, exchange: letrade.dlq}]\n"],
    "key-template": [FLOW.replace("lifetime: 1s", "lifetime: 1s, key: 'a.b_{c}'")],
    "json-schema": [
        FLOW.replace(
            "lifetime: 1s",
            "lifetime: 1s, schema: {$schema: 'https://json-schema.org/draft/2020-12/schema', $ref: '#/$defs/d',"
            " $defs: {d: {properties: {next: {$ref: '#/$defs/d'}, type: {const: x}, b: true}}}}",
        )
    ],
    "json-schema-keyword": [
        FLOW.replace("lifetime: 1s", "lifetime: 1s, schema: {x-unit: s, properties: {minLenght: {}}}")
    ],
    "json-schema-required": [FLOW.replace("lifetime: 1s", "lifetime: 1s, schema: {required: [a]}")],
    "undeclared-variable": ["variables: {a: b}\nenvironment: ${a}\n", "environment: $${a}\n"],
    "variable-name": ["environment: $${no-name}\n", "environment: $a {b} $\n"],
    "variable-default": ["variables: {a: '', b: 0, c: false}\n"],
    "variable-in-key": ["exchanges: {'x{a}': {}}\n"],
}

ELSEWHERE = frozenset(
    {
        "unreadable-file",
        "file-too-big",
        "encoding",
        "empty-file",
        "too-deep",
        "too-many-values",
        "overlay-removes-nothing",
        "variable-value",
    }
)
"""Rules that need more than one text; `test_files`, `test_overlays` and `test_variables` have them."""
