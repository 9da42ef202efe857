"""For each rule, topologies that break it in marked places, and near misses that break nothing."""

from __future__ import annotations

from tests.load.crowds import crowd, digest

# The tail of a topology in which one type is published and consumed.
FLOW = """\
exchanges: {x: {}}
messages: {a.b: {exchange: x, lifetime: 1s}}
services:
  s: {publishes: [a.b], consumes: [a.b]}
"""

BOUND = "bindings: [{source: amq.topic, queue: q}]\n"

EXCLUSIVE = "ownership: exclusive\n"

QUEUE = FLOW + "queues: {q: {service: s, messages: [a.b]}}\n"

BROKEN: dict[str, list[str]] = {
    "operator-policy-setting": [
        "operator_policies:\n  p:\n    pattern: ^a\n"
        "    definition: {«operator-policy-setting»dead-letter-exchange: amq.fanout}\n",
        "operator_policies: {p: {pattern: ^a, definition: {max-length: «operator-policy-setting»-1}}}\n",
    ],
    "parameter-component": [
        "parameters: {«parameter-component»operator_policy: {p: {pattern: ^a, definition: {max-length: 1}}}}\n"
    ],
    "parameter-unknown": ["parameters: {«parameter-unknown»shovels: {s: {src-queue: a}}}\n"],
    "secret-in-parameter": [
        "parameters: {shovel: {s: {src-uri: «secret-in-parameter»'amqp://u:p@h'}}}\n",
        "parameters: {federation-upstream: {s: {uri: «secret-in-parameter»['amqp://h', 'amqp://u@h']}}}\n",
    ],
    "reserved-parameter": ["global_parameters: {«reserved-parameter»letrade-topo.t.v: {}}\n"],
    "password-and-hash": ["users: {u: {password: {env: A}, «password-and-hash»password_hash: {env: B}}}\n"],
    "exchange-argument": [
        "exchanges: {x: {type: «exchange-argument»x-delayed-message}}\n",
        "exchanges: {x: {type: x-recent-history, arguments: {x-recent-history-length: «exchange-argument»0}}}\n",
        "exchanges: {x: {type: x-consistent-hash, arguments: {hash-property: «exchange-argument»app_id}}}\n",
        "exchanges:\n  x:\n    type: x-consistent-hash\n    arguments:\n      hash-header: h\n"
        "      «exchange-argument»hash-property: message_id\n",
    ],
    "exchange-argument-unread": [
        "exchanges: {x: {arguments: {«exchange-argument-unread»hash-header: h}}}\n",
        "exchanges: {x: {type: x-random, arguments: {«exchange-argument-unread»x-delayed-type: topic}}}\n",
    ],
    "exchange-type-unknown": ["exchanges: {x: {type: «exchange-type-unknown»x-rtopic}}\n"],
    "hash-weight": [
        "exchanges: {x: {type: x-consistent-hash}}\nqueues: {q: {}}\n"
        "bindings: [{source: x, queue: q, routing_key: «hash-weight»'0'}]\n",
    ],
    "replicated-not-durable": [
        BOUND + "queues: {q: {durable: «replicated-not-durable»false}}\n",
        BOUND + "queues: {q: {type: stream, auto_delete: «replicated-not-durable»true}}\n",
    ],
    "not-durable": [
        BOUND + "queues: {q: {type: classic, durable: «not-durable»false}}\n",
        "exchanges: {x: {durable: «not-durable»false}}\n",
    ],
    "auto-delete": [
        BOUND + "queues: {q: {type: classic, auto_delete: «auto-delete»true}}\n",
        "exchanges: {x: {auto_delete: «auto-delete»true}}\n",
    ],
    "overflow-and-guarantee": [
        BOUND + "queues: {q: {guarantee: at_most_once, max_length: 1, «overflow-and-guarantee»overflow: drop-head}}\n",
    ],
    "retry-needs-reject-publish": [
        FLOW + "queues: {q: {service: s, messages: [a.b], overflow: «retry-needs-reject-publish»none}}\n"
    ],
    "dead-letter-falls-back": [
        BOUND
        + "queues: {q: {dead_letter: {exchange: '', routing_key: p}, overflow: «dead-letter-falls-back»drop-head},"
        " p: {}}\n",
    ],
    "dead-letter-strategy-type": [
        BOUND + "queues:\n  p: {}\n  q:\n    type: «classic-dead-letter»classic\n"
        "    dead_letter: {exchange: '', routing_key: p, strategy: «dead-letter-strategy-type»at-least-once}\n"
    ],
    "target-as-argument": [
        BOUND + "queues: {q: {arguments: {x-dead-letter-exchange: «target-as-argument»gone}}}\n",
        "exchanges: {x: {arguments: {alternate-exchange: «target-as-argument»gone}}}\n",
        "exchanges: {x: {arguments: {«target-as-argument»alternate-exchange: amq.fanout}}}\n",
        BOUND + "queues:\n  q:\n    arguments:\n      x-dead-letter-exchange: «target-as-argument»''\n"
        "      x-dead-letter-routing-key: gone\n",
    ],
    "undeclared-exchange": [
        FLOW + "bindings:\n  - {source: «undeclared-exchange»y, queue: t.dlq}\n"
        "dead_letter: {exchange: t.dlq, queue: t.dlq}\n",
        "exchanges: {x: {alternate_exchange: «undeclared-exchange»xx}}\n",
        "exchanges: {x: {}}\nbindings:\n  - source: x\n    exchange: «undeclared-exchange»amq.default\n",
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
    "no-short-pattern": [
        crowd(1200, key=digest, marker="«no-short-pattern»" * 2),
        crowd(1200, queue=digest, marker="«no-short-pattern»«queue-without-namespace»"),
    ],
    "queue-without-namespace": [
        crowd(40, queue=lambda number: f"q{number}", marker="«queue-without-namespace»"),
        crowd(46, queue=lambda number: f"{'ab'[number % 2]}_q{number}", marker="«queue-without-namespace»"),
    ],
    "pattern-too-long": [
        "exchanges: {x: {}}\n"
        f"policies: {{p: {{pattern: «pattern-too-long»^(?:x|{'n' * 1024})$, apply_to: exchanges, "
        "definition: {alternate-exchange: amq.fanout}}}\n",
        f"users: {{u: {{password: {{env: A}}, permissions: {{read: «pattern-too-long»^{'é' * 512}$}}}}}}\n",
        FLOW + "users: {u: {password: {env: A}, topic_permissions: "
        f"[{{exchange: x, write: ^a$, read: «pattern-too-long»^{'n' * 1023}$}}]}}}}\n",
    ],
    "many-different-limits": [crowd(710, limits=lambda number: number, marker_of_queues="«many-different-limits»")],
    "empty-name": ["exchanges: {«empty-name»'': {}}\n", "users: {«empty-name»'': {password: {env: A}}}\n"],
    "name-characters": ['exchanges: {«name-characters»"a ": {}}\n', 'exchanges: {«name-characters»"a\\tb": {}}\n'],
    "unreachable-name": [
        "exchanges: {«unreachable-name».: {}}\n",
        FLOW + "queues:\n  «unreachable-name»..: {service: s, messages: [a.b]}\n",
        "users: {«unreachable-name»..: {}}\n",
        "policies: {«unreachable-name».: {pattern: ^amq, definition: {max-length: 1}}}\n",
        "dead_letter: {queue: «unreachable-name».}\n",
        FLOW.replace("s: {publishes", "s: {user: «unreachable-name»., publishes"),
        FLOW.replace("a.b:", "«unreachable-name»'null':").replace("[a.b]", "['null']"),
        FLOW + "bindings: [{source: amq.topic, queue: letrade.dlq, routing_key: «unreachable-name»..}]\n",
        FLOW + "bindings: [{source: amq.topic, queue: letrade.dlq, routing_key: «unreachable-name»undefined}]\n",
        FLOW.replace("x: {}", "x: {}, h: {type: headers}")
        + "bindings: [{source: h, queue: letrade.dlq, routing_key: «unreachable-name»a~b, arguments: {a: 1}}]\n",
    ],
    "name-too-long": [
        f"exchanges:\n  «name-too-long»{'e' * 256}: {{}}\n",
        f"exchanges:\n  «name-too-long»{'가' * 86}: {{}}\n",
        FLOW + f"queues:\n  «name-too-long»{'q' * 247}: {{service: s, messages: [a.b]}}\n",
        f"exchanges: {{x: {{}}}}\nmessages:\n  «name-too-long»{'k' * 251}: {{exchange: x, lifetime: 1s}}\n"
        f"services: {{s: {{publishes: [{'k' * 251}], consumes: [{'k' * 251}]}}}}\n",
        FLOW + f"bindings: [{{source: amq.topic, queue: letrade.dlq, routing_key: «name-too-long»{'k' * 256}}}]\n",
    ],
    "reserved-name": [
        "exchanges:\n  «reserved-name»amq.mine: {}\n",
        FLOW + "queues:\n  «reserved-name»letrade-topo.lock.t: {service: s, messages: [a.b]}\n",
        "dead_letter: {queue: «reserved-name»amq.dead}\n",
    ],
    "derived-name": [
        FLOW + "queues:\n  q: {service: s, messages: [a.b]}\n  «derived-name»q.rejected: {messages: [a.b]}\n",
        FLOW + "queues:\n  q: {service: s, messages: [a.b]}\n  «derived-name»q.retry.3: {messages: [a.b]}\n",
        FLOW.replace("{x: {}}", "{x: {}, «derived-name»letrade.dlq: {}}"),
        FLOW + "queues:\n  «derived-name»letrade.dlq: {messages: [a.b]}\n",
        FLOW + "queues:\n  «derived-name»s.reply.x: {messages: [a.b]}\n",
        FLOW + "  «derived-name»s.sub.x: {publishes: [a.b]}\n",
        "dead_letter: {exchange: d, retry_exchange: «derived-name»d}\n",
        "policies:\n  «derived-name»t.consumer: {pattern: ^amq, definition: {max-length: 1}}\n",
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
        FLOW + "bindings:\n  - {source: x, queue: letrade.dlq, routing_key: a.*}\n"
        "  - «duplicate-binding»{source: x, queue: letrade.dlq, routing_key: a.*}\n",
    ],
    "binding-arguments": [
        FLOW + "bindings:\n  - {source: x, queue: letrade.dlq, routing_key: a.*}\n"
        "  - {source: x, queue: letrade.dlq, routing_key: a.*, «binding-arguments»arguments: {h: 1}}\n",
        "bindings:\n  - source: amq.direct\n    queue: letrade.dlq\n    «binding-arguments»arguments: {x-match: all}\n",
        "bindings: [{source: letrade.dlq, exchange: amq.fanout, «binding-arguments»arguments: {h: 1}}]\n",
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
    "consumed-not-published": [
        FLOW.replace("publishes: [a.b], consumes: [", "consumes: [«consumed-not-published»"),
        FLOW.replace(
            "publishes: [a.b], consumes: [", "consumes: [«consumed-not-published»'a.*', «consumed-not-published»"
        ),
    ],
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
        FLOW.replace("x: {}", "x: {}, h: {type: direct}") + "queues: {q: {messages: [a.b], type: classic}}\npolicies:\n"
        "  p: {pattern: ^q$, definition: {dead-letter-exchange: «dead-letter-unroutable»h}}\n",
    ],
    "binding-without-messages": [
        EXCLUSIVE + QUEUE + "bindings: [{source: x, queue: letrade.dlq, routing_key: «binding-without-messages»a.c}]\n",
        EXCLUSIVE + QUEUE + "users: {u: {permissions: {write: ^y$}}}\n"
        "bindings: [{source: x, queue: letrade.dlq, routing_key: «binding-without-messages»'a.*.#.b'}]\n",
        EXCLUSIVE
        + QUEUE.replace("x: {}", "x: {}, d: {type: direct}")
        + "bindings:\n  - {source: x, exchange: d, routing_key: '#'}\n"
        "  - {source: d, queue: letrade.dlq, routing_key: «binding-without-messages»'#'}\n",
        EXCLUSIVE + QUEUE + "bindings:\n  - «binding-without-messages»{source: x, queue: letrade.dlq}\n",
    ],
    "queue-unreachable": [
        "exchanges: {i: {internal: true}}\nqueues:\n  «queue-unreachable»q: {type: classic}\n"
        "bindings: [{source: i, queue: q, routing_key: '#'}]\n",
        "exchanges: {i: {internal: true}, j: {internal: true, alternate_exchange: i}}\n"
        "queues:\n  «queue-unreachable»q: {type: classic}\n"
        "bindings: [{source: i, queue: q, routing_key: '#'}, {source: j, exchange: i, routing_key: '#'}]\n",
    ],
    "alternate-cycle": [
        "exchanges: {x: {alternate_exchange: «alternate-cycle»x}}\n",
        "exchanges: {x: {alternate_exchange: «alternate-cycle»y}, y: {alternate_exchange: z},"
        " z: {alternate_exchange: x}}\n",
        "exchanges:\n  x: «alternate-cycle»{}\npolicies:\n"
        "  p: {pattern: ^x$, apply_to: exchanges, definition: {alternate-exchange: x}}\n",
    ],
    "dead-letter-cycle": [
        FLOW + "queues:\n  q: {service: s, messages: [a.b], «dead-letter-cycle»dead_letter: {exchange: x}}\n",
        FLOW.replace("x: {}", "x: {}, h: {type: fanout}")
        + "queues:\n  q: {service: s, messages: [a.b], «dead-letter-cycle»dead_letter: {exchange: h}}\n"
        "  r: {message_ttl: 1s, dead_letter: {exchange: '', routing_key: q}}\n"
        "bindings: [{source: h, queue: r}]\n",
        QUEUE + "bindings:\n  - «dead-letter-cycle»{source: letrade.retry, queue: q, routing_key: '#'}\n",
        QUEUE + "bindings:\n  - {source: letrade.dlq, queue: letrade.dlq, routing_key: c}\n"
        "  - «dead-letter-cycle»{source: letrade.dlq, queue: q, routing_key: '*.*.dead'}\n",
        QUEUE + "bindings:\n  - «dead-letter-cycle»{source: letrade.dlq, queue: q, routing_key: c.d.dead}\n",
        QUEUE + "bindings:\n  - «dead-letter-cycle»{source: letrade.retry, queue: q, routing_key: q.retry.2}\n",
        FLOW + "queues: {q: {service: s, messages: [a.b]}, r: {service: s, messages: [], dead_letter: none}}\n"
        "bindings:\n  - {source: letrade.retry, queue: r, routing_key: q.rejected}\n"
        "  - «dead-letter-cycle»{source: letrade.dlq, queue: r, routing_key: '#'}\n",
        FLOW.replace("x: {}", "x: {}, e: {}, f: {type: fanout}") + "queues: {q: {service: s, messages: [a.b]}}\n"
        "bindings:\n  - «dead-letter-cycle»{source: letrade.dlq, exchange: e, routing_key: '#'}\n"
        "  - {source: e, exchange: f, routing_key: a.#}\n  - {source: f, queue: q}\n",
        FLOW.replace("x: {}", "x: {}, e: {type: direct, alternate_exchange: f}, f: {type: fanout}")
        + "queues:\n  q: {messages: [a.b], «dead-letter-cycle»dead_letter: {exchange: e, routing_key: k}}\n"
        "bindings: [{source: f, queue: q}, {source: e, queue: letrade.dlq, routing_key: l}]\n",
        FLOW + "queues: {q: {messages: [a.b], type: classic}}\npolicies:\n"
        "  p: {pattern: ^q$, definition: «dead-letter-cycle»{dead-letter-exchange: x}}\n",
        FLOW.replace("x: {}", "x: {}, e: {type: direct}")
        + "queues:\n  q: {messages: [a.b], «dead-letter-cycle»dead_letter: {exchange: e, routing_key: k}}\n"
        "bindings: [{source: amq.fanout, queue: q}, {source: e, queue: letrade.dlq, routing_key: l}]\n"
        "policies: {p: {pattern: ^e$, apply_to: exchanges, definition: {alternate-exchange: amq.fanout}}}\n",
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
    "redelivery-delay-type": [
        FLOW + "queues: {q: {messages: [a.b], type: classic, «redelivery-delay-type»redelivery_delay: 5s}}\n"
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
        FLOW + "queues: {q: {messages: [a.b], message_ttl: «queue-limit»4000d}}\n",
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
        "exchanges: {x: {alternate_exchange: amq.fanout, arguments: {«argument-with-a-field»alternate-exchange: y}}}\n",
        FLOW + "queues:\n  q: {service: s, messages: [a.b],\n"
        "    arguments: {«argument-with-a-field»x-dead-letter-exchange: y}}\n",
        FLOW + "queues:\n  q:\n    service: s\n    messages: [a.b]\n    max_length: 5\n"
        "    arguments: {«argument-with-a-field»x-max-length: 5}\n",
    ],
    "argument-value": [
        FLOW + "queues: {q: {service: s, messages: [a.b], arguments: {«argument-value»x-max-age: 1D}}}\n",
        FLOW + "queues: {q: {messages: [a.b], type: classic, arguments: {«argument-value»x-delivery-limit: 5}}}\n",
        FLOW + "queues: {q: {messages: [a.b], type: stream, arguments: {x-max-age: «argument-value»1d}}}\n",
        FLOW + "queues: {q: {messages: [a.b], arguments: {x-max-length: «argument-value»'5'}}}\n",
        FLOW + "queues: {q: {messages: [a.b], arguments: {x-queue-leader-locator: «argument-value»here}}}\n",
        FLOW + "queues: {q: {messages: [a.b], type: classic, arguments: {x-queue-version: «argument-value»3}}}\n",
    ],
    "header-match": [
        FLOW.replace("x: {}", "x: {}, h: {type: headers}")
        + "bindings: [{source: h, queue: letrade.dlq, arguments: {x-match: «header-match»som}}]\n",
        FLOW + "bindings: [{source: amq.headers, queue: letrade.dlq, arguments: {x-match: «header-match»true}}]\n",
    ],
    "unknown-argument": [
        FLOW + "queues: {q: {service: s, messages: [a.b], arguments: {«unknown-argument»x-maxage: 5}}}\n",
        FLOW + "queues: {q: {service: s, messages: [a.b], arguments: {«unknown-argument»expires: 5}}}\n",
        FLOW.replace("x: {}", "x: {arguments: {«unknown-argument»x-queue-type: quorum}}"),
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
    "envelope-without-effect": [
        FLOW.replace("x: {}", "x: {}, y: {envelope: «envelope-without-effect»complete}"),
        FLOW.replace("x: {}", "x: {mode: off, envelope: «envelope-without-effect»complete}"),
        FLOW + "  r: {consumes: [a.b], envelope: «envelope-without-effect»complete}\n",
        FLOW.replace("x: {}", "x: {mode: off}").replace(
            "consumes:", "envelope: «envelope-without-effect»complete, consumes:"
        ),
    ],
    "permission-pattern": [
        "users: {u: {permissions: {read: «permission-pattern»'^(a$'}}}\n",
        "exchanges: {x: {}}\nusers: {u: {topic_permissions: [{exchange: x, write: «permission-pattern»'*'}]}}\n",
    ],
    "expression-in-doubt": [
        "users: {u: {permissions: {read: «expression-in-doubt»'^\\qa$'}}}\n",
        "users: {u: {topic_permissions: [{exchange: amq.topic, read: «expression-in-doubt»'^(?^i:a)$'}]}}\n",
        "policies: {p: {pattern: «expression-in-doubt»'^amq.(topic|\\8)$', definition: {max-length: 1}}}\n",
    ],
    "permission-not-anchored": [
        "users: {u: {permissions: {read: «permission-not-anchored»orders}}}\n",
        "users: {u: {permissions: {read: «permission-not-anchored»'^a|b$'}}}\n",
        "users: {u: {topic_permissions: [{exchange: amq.topic, write: «permission-not-anchored»'^a|b$'}]}}\n",
    ],
    "topic-permission-exchange": [
        "exchanges: {x: {type: fanout}}\nusers: {u: {topic_permissions: [{exchange: «topic-permission-exchange»x}]}}\n",
        "users: {u: {topic_permissions: [{exchange: «topic-permission-exchange»nope}]}}\n",
        "users: {u: {topic_permissions: [{exchange: «topic-permission-exchange»''}]}}\n",
        "users: {u: {topic_permissions: [{exchange: «topic-permission-exchange»amq.fanout}]}}\n",
    ],
    "service-without-messages": ["services:\n  «service-without-messages»s:\n"],
    "secret-in-url": ["broker: {management: «secret-in-url»'https://me:geheim@broker:15671'}\n"],
    "policy-pattern": ["policies: {p: {pattern: «policy-pattern»'^(', definition: {max-length: 1}}}\n"],
    "policy-not-judged": ["policies: {p: {pattern: «policy-not-judged»'^\\p{L}+$', definition: {max-length: 1}}}\n"],
    "policy-not-anchored": [
        "policies: {p: {pattern: «policy-not-anchored»mq.gen, definition: {max-length: 1}}}\n",
        "policies: {p: {pattern: «policy-not-anchored»'^x|mq.topic', definition: {max-length: 1}}}\n",
    ],
    "policy-empty": ["policies: {p: {pattern: ^amq, definition: «policy-empty»{}}}\n"],
    "policy-key": ["policies: {p: {pattern: ^amq, definition: {«policy-key»max_length: 1}}}\n"],
    "policy-setting": [
        "policies: {p: {pattern: ^amq, definition: {«policy-setting»x-queue-type: quorum}}}\n",
        "policies: {p: {pattern: ^amq, definition: {«policy-setting»max-priority: 5}}}\n",
        "policies: {p: {pattern: ^amq, definition: {«policy-setting»x-max-length: 5}}}\n",
        "policies: {p: {pattern: ^amq, definition: {max-length: «policy-setting»'5'}}}\n",
        "policies: {p: {pattern: ^amq, definition: {overflow: «policy-setting»drop}}}\n",
        "policies: {p: {pattern: ^amq, definition: {delivery-limit: «policy-setting»-2}}}\n",
        "policies: {p: {pattern: ^amq, definition: {«policy-setting»ha-sync-mode: automatic}}}\n",
        "policies: {p: {pattern: ^amq, definition: {federation-upstream: a,"
        " «policy-setting»federation-upstream-set: b}}}\n",
        "policies: {p: {pattern: ^amq, definition: {«policy-setting»delayed-retry-type: all}}}\n",
        "policies: {p: {pattern: ^amq, definition: {delayed-retry-min: 5, «policy-setting»delayed-retry-max: 1}}}\n",
    ],
    "policy-over-queue": [
        QUEUE + "policies: {p: {pattern: «policy-over-queue»'^q$', definition: {max-length: 1}}}\n",
        FLOW + "queues: {q: {service: s, messages: [a.b], max_length: 5}}\n"
        "policies: {p: {pattern: «policy-over-queue»'^q$', definition: {max-length: 1}, priority: 1}}\n",
    ],
    "policy-displaces": [
        QUEUE + "policies: {p: {pattern: «policy-displaces»'^q$', definition: {max-length: 1}, priority: 2}}\n",
        QUEUE + "policies: {p: {pattern: «policy-displaces»'^q.rejected$', definition: {max-length: 1}}}\n",
        QUEUE
        + "policies: {p: {pattern: «policy-displaces»'^.*retry.2$', definition: {message-ttl: 1}, priority: -1}}\n",
        "dead_letter: {queue: letrade.dlq}\n"
        "policies:\n  p:\n    pattern: «policy-displaces»'^(letrade\\.dlq|q\\.rejected)$'\n"
        "    definition: {max-length: 5}\n    priority: 9\n",
        FLOW + "policies: {p: {pattern: «policy-displaces»^letrade, definition: {queue-leader-locator: balanced},"
        " priority: 2}}\n",
    ],
    "policy-tie": [
        QUEUE + "policies: {«policy-tie»p: {pattern: '^q$', definition: {max-length: 1}, priority: 1}}\n",
        "policies:\n  p: {pattern: ^amq.t, apply_to: exchanges, definition: {alternate-exchange: amq.fanout}}\n"
        "  «policy-tie»r: {pattern: ^.*topic$, definition: {alternate-exchange: amq.match}}\n",
        FLOW + "queues: {c: {messages: [a.b], type: classic}}\npolicies:\n"
        "  p: {pattern: ^c$, definition: {max-length: 1}}\n  «policy-tie»r: {pattern: ^c$, definition: {expires: 9}}\n",
    ],
    "policy-kept-off": [
        FLOW + "queues: {c: {messages: [a.b], dead_letter: none}}\npolicies:\n"
        "  p: {pattern: ^c$, definition: {max-length: 1, «policy-kept-off»max-age: 1D}, apply_to: queues}\n",
        FLOW + "queues: {c: {messages: [a.b], type: classic}}\npolicies:\n"
        "  p: {pattern: ^c$, definition: {«policy-kept-off»delivery-limit: 1}}\n",
        FLOW + "queues: {c: {messages: [a.b], type: stream}}\npolicies:\n"
        "  p: {pattern: ^c$, definition: {«policy-kept-off»max-length: 1, max-age: 1D}}\n",
    ],
    "policy-partly-kept-off": [
        FLOW + "queues: {c: {messages: [a.b], type: stream}, c2: {messages: [a.b], type: classic}}\npolicies:\n"
        "  p: {pattern: ^c, definition: {«policy-partly-kept-off»max-age: 1D, max-length-bytes: 5}}\n",
    ],
    "policy-matches-nothing": [
        QUEUE + "policies: {p: {pattern: «policy-matches-nothing»^qq$, definition: {max-length: 1}}}\n",
        QUEUE + "policies: {p: {pattern: «policy-matches-nothing»^q$, apply_to: exchanges, definition: {"
        "alternate-exchange: x}}}\n",
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
    "merge-key": ["exchanges:\n  x: &x {internal: false}\n  y: {«merge-key»<<: *x}\n"],
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
        "exchanges: «yaml-syntax»[a,\nqueues: {}\n",
        "exchanges: «yaml-syntax»x: {}\n",
    ],
    "empty-section": [
        "«empty-section»queues:\n",
        FLOW + "«empty-section»bindings: ~\n«empty-section»users:  # all of them\n«empty-section»limits:\n",
        "«empty-section»services:\n«empty-section»exchanges:\n«empty-section»ignore:\n",
    ],
    "variable-empty": [
        "variables: {x: ''}\nusers: {u: {permissions: {read: «variable-empty»'${x}'}}}\n",
        "variables: {x: ''}\nenvironment: «variable-empty»${x}\n",
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
    "stray-character": [
        "vhost2: x\n".replace("vhost2: x", "environment: staging«stray-character»,"),
        FLOW + 'queues: {q: {service: s«stray-character»", messages: [a.b]}}\n',
        "environment: «stray-character»“staging”\n",
        "environment: staging«stray-character»# not production\n",
        "environment: «stray-character»$STAGE\n",
        FLOW.replace("[a.b], consumes: [a.b]", "\n      «stray-character»-a.b\n    consumes: [a.b]")
        .replace("{publishes:", "\n    publishes:")
        .replace("]}", "]"),
    ],
    "continued-line": [
        "ignore:\n  - queue:a\n    «continued-line»- queue:b\n",
        "ignore:\n  «continued-line»queue:a\n  - queue:b\n",
        "environment: a\n  «continued-line»b\n",
    ],
    "misplaced-key": [
        "exchanges:\n  x:\n    description: y\n«misplaced-key»type: fanout\n",
        "exchanges:\n  x:\n    description: y\n  «misplaced-key»type: fanout\n",
        FLOW + "  «misplaced-key»queues:\n    q: {messages: [a.b]}\n",
        "limits:\n  max_queues: 50\n  «misplaced-key»multiplier: 3\n",
        FLOW + "  «misplaced-key»q: {service: s, messages: [a.b]}\n",
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
        FLOW.replace("lifetime: 1s", "lifetime: 1s, priority: «not-allowed-value»urgent"),
        FLOW.replace("lifetime: 1s", "lifetime: 1s, priority: «not-allowed-value»true"),
        FLOW.replace("lifetime: 1s", "lifetime: 1s, priority: «not-allowed-value»'5'"),
        FLOW + "queues: {q: {service: s, messages: [a.b], retry: «not-allowed-value»never}}\n",
        "topology: «not-allowed-value»2\nname: t\nvhost: v\n",
    ],
    "out-of-range": [
        FLOW.replace("lifetime: 1s", "lifetime: 1s, priority: «out-of-range»32"),
        FLOW.replace("lifetime: 1s", "lifetime: 1s, priority: «out-of-range»-1"),
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
    "operator-policy-setting": ["operator_policies: {p: {pattern: ^a, definition: {max-length: 1}}}\n"],
    "parameter-component": ["parameters: {federation-upstream-set: {s: [{upstream: u}]}}\n"],
    "parameter-unknown": ["parameters: {shovel: {s: {src-queue: a, dest-queue: b}}}\n"],
    "secret-in-parameter": [
        "parameters: {shovel: {s: {src-uri: 'amqp://h/v', dest-uri: [{env: A}, {file: b}]}}}\n",
    ],
    "reserved-parameter": ["global_parameters: {mine: [1, {a: b}], cluster_tags: []}\n"],
    "password-and-hash": [
        "users: {u: {password: unmanaged, password_hash: {file: b}}, v: {password_hash: {env: B, algorithm: md5}}}\n",
    ],
    "exchange-argument": [
        "exchanges: {x: {type: x-delayed-message, arguments: {x-delayed-type: x-random}}}\n",
        "exchanges: {x: {type: x-consistent-hash, arguments: {hash-property: timestamp}}}\n",
    ],
    "exchange-argument-unread": [
        "exchanges: {x: {type: x-mine, arguments: {hash-header: h}}, y: {arguments: {my-own: 1}}}\n",
    ],
    "exchange-type-unknown": ["exchanges: {x: {type: x-local-random}, y: {type: x-jms-topic}}\n"],
    "hash-weight": [
        "exchanges: {x: {type: x-consistent-hash}}\nqueues: {q: {}}\n"
        "bindings: [{source: x, queue: q, routing_key: '10'}]\n",
        "exchanges: {x: {type: direct}}\nqueues: {q: {}}\nbindings: [{source: x, queue: q, routing_key: a}]\n",
    ],
    "replicated-not-durable": ["queues: {q: {type: classic, durable: false, auto_delete: true}}\n"],
    "not-durable": ["queues: {q: {durable: true}}\n", "queues: {q: {durable: false}}\n"],
    "auto-delete": ["queues: {q: {type: classic, auto_delete: false}}\n"],
    "overflow-and-guarantee": ["queues: {q: {guarantee: at_least_once, overflow: drop-head}}\n"],
    "retry-needs-reject-publish": [
        FLOW + "queues: {q: {service: s, messages: [a.b], overflow: reject-publish}}\n",
        FLOW + "queues: {q: {service: s, messages: [a.b], overflow: none, dead_letter: none}}\n",
    ],
    "dead-letter-falls-back": [
        "queues:\n  p: {}\n  q: {overflow: none, dead_letter: {exchange: '', routing_key: p, strategy: none}}\n",
    ],
    "dead-letter-strategy-type": [
        "queues:\n  p: {}\n  q: {type: classic, dead_letter: {exchange: '', routing_key: p, strategy: none}}\n",
    ],
    "target-as-argument": [
        "queues: {q: {arguments: {x-dead-letter-strategy: at-most-once}}}\n",
        "exchanges: {x: {alternate_exchange: amq.fanout}}\n",
    ],
    "stray-character": [
        "environment: 'staging,'\n",
        "exchanges: {x: {description: the customers', for example}}\n",
        "users: {u: {permissions: {read: '^a.#$'}}}\n",
        FLOW.replace("lifetime: 1s", "lifetime: 1s, schema: {properties: {a: {description: it’s; so}}}"),
        "ignore: [queue:a#, queue:-b]\n",
    ],
    "continued-line": [
        "exchanges:\n  x:\n    description: what goes\n      over two lines\n",
        'environment: "a\n  b"\n',
    ],
    "misplaced-key": [
        "exchanges: {type: {}, queues: {}, description: {}}\n",
        FLOW.replace("lifetime: 1s", "lifetime: 1s, schema: {properties: {lifetime: {}, exchange: {}}}"),
    ],
    "undeclared-exchange": [
        FLOW + "bindings:\n  - {source: amq.topic, queue: letrade.dlq}\n"
        "  - {source: letrade.dlq, exchange: letrade.retry}\n",
        "exchanges: {x: {alternate_exchange: y}, y: {type: fanout}}\n",
        "users: {u: {topic_permissions: [{exchange: ''}]}}\n",
    ],
    "undeclared-message": [FLOW.replace("consumes: [a.b]", "consumes: [a.b, 'a.*', '#']")],
    "undeclared-service": [FLOW + "queues: {q: {service: s, messages: [a.b]}}\n"],
    "undeclared-queue": [
        FLOW + "bindings: [{source: x, queue: letrade.dlq}]\n",
        FLOW + "queues:\n  q: {service: s, messages: [a.b], dead_letter: {exchange: '', routing_key: letrade.dlq}}\n",
    ],
    "no-short-pattern": [
        crowd(1200),
        crowd(1200, key=lambda number: f"{'ab'[number % 2]}{digest(number)}"),
        crowd(60, queue=digest, key=digest),
    ],
    "queue-without-namespace": [crowd(38, queue=digest), crowd(200)],
    "pattern-too-long": [
        f"exchanges: {{x: {{}}}}\npolicies: {{p: {{pattern: ^(?:x|{'n' * 1016})$, apply_to: exchanges, "
        "definition: {alternate-exchange: amq.fanout}}}\n",
        f"users: {{u: {{password: {{env: A}}, permissions: {{read: ^{'é' * 511}$}}}}}}\n",
    ],
    "many-different-limits": [crowd(700, limits=lambda number: number), crowd(1000, limits=lambda number: number % 9)],
    "empty-name": ["exchanges: {' x y ': {}}\n".replace(" x y ", "x y")],
    "name-characters": ["exchanges: {'a b': {}, 가: {}}\n"],
    "unreachable-name": [
        "exchanges: {...: {}, ./: {}, a..b: {}, '%2e': {}}\n",
        FLOW.replace("x: {}", "x: {}, h: {type: headers}")
        + "bindings: [{source: h, queue: letrade.dlq, routing_key: a~, arguments: {a: 1}},"
        " {source: h, queue: letrade.dlq, routing_key: a~b}, {source: h, queue: letrade.dlq, routing_key: .,"
        " arguments: {a: 1}}, {source: h, queue: letrade.dlq, routing_key: nullable}]\n",
    ],
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
    "binding-arguments": [
        "exchanges: {x: {type: headers}}\nbindings:\n  - {source: x, queue: letrade.dlq, arguments: {h: 1}}\n"
        "  - {source: amq.match, queue: letrade.dlq, arguments: {h: 1}}\n"
        "  - {source: amq.topic, queue: letrade.dlq, arguments: {}}\n"
        "  - {source: amq.direct, queue: letrade.dlq, routing_key: '0', arguments: {x-stream-partition-order: 0}}\n"
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
    "binding-without-messages": [
        QUEUE + "bindings: [{source: x, queue: letrade.dlq, routing_key: a.c}]\n",
        EXCLUSIVE + QUEUE + "bindings: [{source: x, queue: letrade.dlq, routing_key: '*.b.#'}]\n",
        EXCLUSIVE
        + QUEUE
        + "users: {u: {permissions: {write: ^x$}}}\nbindings: [{source: x, queue: letrade.dlq, routing_key: c}]\n",
        EXCLUSIVE + QUEUE + "bindings: [{source: amq.topic, queue: letrade.dlq, routing_key: c}]\n",
        EXCLUSIVE + QUEUE.replace("x: {}", "x: {}, d: {type: direct}, e: {}") + "bindings:\n"
        "  - {source: x, exchange: d, routing_key: '#'}\n  - {source: d, queue: letrade.dlq, routing_key: a.b}\n"
        "  - {source: e, queue: letrade.dlq, routing_key: c}\n",
        EXCLUSIVE + FLOW + "queues: {q: {messages: [a.b], type: classic, dead_letter: {exchange: x, routing_key: c}}}\n"
        "bindings: [{source: x, queue: letrade.dlq, routing_key: c}]\n",
    ],
    "queue-unreachable": [
        "exchanges: {i: {internal: true}, x: {}}\nqueues: {q: {type: classic}}\nbindings:\n"
        "  - {source: i, queue: q, routing_key: '#'}\n  - {source: x, exchange: i, routing_key: '#'}\n",
        "exchanges: {i: {internal: true}, x: {alternate_exchange: i}}\nqueues: {q: {type: classic}}\n"
        "bindings: [{source: i, queue: q, routing_key: '#'}]\n",
        "exchanges: {i: {internal: true}}\nqueues: {q: {type: classic}}\n"
        "bindings: [{source: i, queue: q, routing_key: '#'}, {source: amq.topic, queue: q, routing_key: a}]\n",
    ],
    "alternate-cycle": [
        "exchanges: {x: {alternate_exchange: y}, y: {alternate_exchange: z}, z: {}}\n",
        "exchanges: {x: {alternate_exchange: y}, y: {}}\nbindings: [{source: y, exchange: x, routing_key: '#'}]\n",
    ],
    "dead-letter-cycle": [
        FLOW.replace("x: {}", "x: {}, h: {type: fanout}")
        + "queues:\n  q: {service: s, messages: [a.b], dead_letter: {exchange: h}}\n  r:\n"
        "bindings: [{source: h, queue: r}]\n",
        FLOW + "queues: {q: {service: s, messages: [a.b]}}\n",
        QUEUE + "bindings: [{source: letrade.retry, queue: letrade.dlq, routing_key: '#'}]\n",
        FLOW + "queues: {q: {service: s, messages: [a.b]}, audit: {type: classic}}\n"
        "bindings: [{source: letrade.dlq, queue: audit, routing_key: '#'}]\n",
        QUEUE + "bindings: [{source: letrade.retry, queue: q, routing_key: other.rejected}]\n",
        # Round once, under another key, and then to rest.
        FLOW.replace("x: {}", "x: {}, y: {type: direct}, z: {type: direct}")
        + "queues:\n  q: {messages: [a.b], dead_letter: {exchange: z}}\n"
        "  p: {dead_letter: {exchange: y, routing_key: k}}\n"
        "bindings:\n  - {source: z, queue: p, routing_key: a.b}\n  - {source: y, queue: q, routing_key: k}\n"
        "  - {source: z, queue: letrade.dlq, routing_key: k}\n",
    ],
    "quorum-max-priority": [FLOW + "queues: {q: {messages: [a.b], type: classic, max_priority: 5}}\n"],
    "stream-feature": [
        FLOW + "queues: {q: {service: s, messages: [a.b], type: stream, max_length_bytes: 1GB, "
        "arguments: {x-max-age: 7D}}}\n"
    ],
    "delivery-limit-type": [FLOW + "queues: {q: {messages: [a.b], delivery_limit: 5}}\n"],
    "redelivery-delay-type": [FLOW + "queues: {q: {messages: [a.b], redelivery_delay: 5s}}\n"],
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
    "queue-limit": [FLOW + "queues: {q: {messages: [a.b], expires: 50d, message_ttl: 0s}}\n"],
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
        FLOW + "queues: {q: {service: s, messages: [a.b], arguments: {x-queue-leader-locator: balanced}}}\n",
        FLOW + "queues: {q: {service: s, messages: [a.b], arguments: {x-max-length: 5, x-expires: 60000}}}\n",
        FLOW + "queues: {q: {messages: [a.b], max_length: 5, arguments: {x-max-length-bytes: 5}}}\n",
    ],
    "argument-value": [
        FLOW + "queues: {q: {messages: [a.b], type: stream, arguments: {x-max-age: 7D}}}\n",
        FLOW + "queues: {q: {messages: [a.b], type: classic, arguments: {x-quorum-target-group-size: 5}}}\n",
        FLOW + "queues: {q: {messages: [a.b], arguments: {x-delivery-limit: -1, my-own: [1]}}}\n",
    ],
    "header-match": [
        FLOW.replace("x: {}", "x: {}, h: {type: headers}")
        + "bindings: [{source: h, queue: letrade.dlq, arguments: {x-match: any-with-x}},"
        " {source: h, queue: letrade.dlq, arguments: {a: som}},"
        " {source: x, queue: letrade.dlq, arguments: {x-match: 1}}]\n",
    ],
    "unknown-argument": [FLOW + "queues: {q: {service: s, messages: [a.b], arguments: {my-own: 1}}}\n"],
    "user-collision": [FLOW + "  r: {publishes: [a.b], user: rr}\nusers: {r: {}}\n"],
    "service-without-login": [
        "topology: 1\nname: t\nvhost: v\n" + FLOW.replace("consumes:", "password: {env: P}, consumes:"),
        FLOW,
    ],
    "user-without-login": ["topology: 1\nname: t\nvhost: v\nusers: {u: {password: {file: p}}}\n", "users: {u: {}}\n"],
    "direct-reply-to": [FLOW.replace("consumes:", "direct_reply_to: false, consumes:")],
    "envelope-without-effect": [
        FLOW.replace("x: {}", "x: {mode: warn, envelope: complete}, y: {envelope: require}"),
        FLOW.replace("consumes:", "envelope: complete, consumes:") + "  r: {consumes: [a.b], envelope: require}\n",
    ],
    "permission-pattern": [
        "users: {u: {permissions: {read: '^(?<n>a|b)$', write: '^(?<=x)y$'}}}\n",
        "users: {u: {permissions: {read: '^\\Qa.b\\E$', write: '^\\p{L}+\\h$', configure: '^(?|a|(?>b))c*+$'}}}\n",
    ],
    "expression-in-doubt": ["users: {u: {permissions: {read: '^\\p{Lu}[a-z-]\\x41$'}}}\n"],
    "permission-not-anchored": [
        "users: {u: {permissions: {read: .*, write: '^a$', configure: ''}}}\n",
        "users: {u: {permissions: {read: '^a$|^b$', write: '(?i)^(a|b)$', configure: '^a\\..*'}}}\n",
    ],
    "topic-permission-exchange": ["exchanges: {x: }\nusers: {u: {topic_permissions: [{exchange: x, write: ^a$}]}}\n"],
    "service-without-messages": [FLOW],
    "secret-in-url": ["broker: {management: 'https://broker:15671/prefix'}\n"],
    "policy-pattern": ["policies: {p: {pattern: '^(?<n>a)$', definition: {max-length: 1}}}\n"],
    "policy-not-judged": ["policies: {p: {pattern: '^\\Qamq.\\E(?<n>a|b)$', definition: {max-length: 1}}}\n"],
    "policy-not-anchored": ["policies: {p: {pattern: .*, definition: {max-length: 1}}}\n"],
    "policy-empty": ["policies: {p: {pattern: ^a, definition: {max-length: 1}}}\n"],
    "policy-key": ["policies: {p: {pattern: ^a, definition: {federation-upstream-set: all}}}\n"],
    "policy-setting": [
        "policies: {p: {pattern: ^a$, definition: {max-length: 0, delivery-limit: -1, max-age: 1Y}}}\n",
        "policies: {p: {pattern: ^a$, definition: {ha-mode: exactly, ha-params: 2, ha-sync-mode: automatic}}}\n",
        "policies: {p: {pattern: ^a$, definition: {delayed-retry-type: all, delayed-retry-min: 1}}}\n",
        "policies: {p: {pattern: ^a$, definition: {of-some-plugin: 1}}}\n",
    ],
    "policy-over-queue": [
        QUEUE + "policies: {p: {pattern: '^other', definition: {max-length: 1}}, r: {pattern: '^q$',"
        " apply_to: exchanges, definition: {alternate-exchange: x}}}\n",
        QUEUE + "policies: {p: {pattern: '^q[.]sub', definition: {max-length: 1}}}\n",
    ],
    "policy-displaces": [
        QUEUE + "policies: {p: {pattern: '^q$', definition: {delivery-limit: 20, max-length: 1}, priority: 9}}\n",
        QUEUE + "policies: {p: {pattern: '.*', definition: {queue-leader-locator: balanced}}}\n",
        QUEUE + "policies: {p: {pattern: '.*', definition: {max-length: 5}, apply_to: exchanges, priority: 9}}\n",
        QUEUE + "policies: {p: {pattern: '.*', definition: {max-length: 5, queue-mode: lazy}, priority: 9}}\n",
        QUEUE + "policies: {p: {pattern: '^(?!(?:.*\\.(?:rejected|retry\\.[0-9]+)|letrade\\.dlq)$)(?=.*(?:q))',"
        " definition: {max-length: 5}}}\n",
        QUEUE + "policies: {p: {pattern: '^q\\.[[:alpha:]]+$', definition: {max-length: 5}}}\n",
    ],
    "policy-tie": [
        QUEUE + "policies: {p: {pattern: '^q$', definition: {max-length: 1}}}\n",
        FLOW + "queues: {c: {messages: [a.b], type: classic}}\npolicies:\n"
        "  p: {pattern: ^c$, definition: {max-length: 1}}\n  r: {pattern: ^c$, definition: {max-age: 1D}}\n"
        "  s: {pattern: ^c$, definition: {max-length: 1}, priority: 1}\n",
    ],
    "policy-kept-off": [
        FLOW + "queues: {c: {messages: [a.b], type: classic}}\npolicies:\n"
        "  p: {pattern: ^c$, definition: {max-length: 1, queue-mode: lazy}}\n",
        FLOW + "policies: {p: {pattern: ^x$, definition: {delivery-limit: 1}}}\n",
    ],
    "policy-partly-kept-off": [
        FLOW + "queues: {c: {messages: [a.b], type: stream}, d: {messages: [a.b], type: classic}}\npolicies:\n"
        "  p: {pattern: ^c, definition: {max-age: 1D, max-length-bytes: 5}}\n",
    ],
    "policy-matches-nothing": [
        QUEUE + "policies: {p: {pattern: ^s.sub, definition: {max-length: 1}}, r: {pattern: ^amq.topic$,"
        " definition: {alternate-exchange: x}}, t: {pattern: '^\\p{Lu}', definition: {max-length: 1}}}\n",
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
    "merge-key": ["exchanges: {x: &x {internal: false}, y: *x}\n"],
    "duplicate-anchor": ["exchanges: {x: &a {}, y: &b {}}\n"],
    "unknown-alias": ["exchanges: {x: &a {}, y: *a}\n"],
    "ambiguous-value": ["environment: '1:30'\n", "environment: 2024-01-01\n", "environment: !!str 010\n"],
    "several-documents": ["exchanges: {}\n...\n"],
    "yaml-syntax": ["exchanges:\n  x: {}\n"],
    "empty-section": ["queues: {}\nbindings: []\nexchanges:\n  x:\n"],
    "variable-empty": ["variables: {x: '', y: a}\nenvironment: a${x}\nusers: {u: {permissions: {read: '${y}'}}}\n"],
    "unknown-key": ["queues: {}\n"],
    "missing-key": [FLOW, "policies: {}\n"],
    "missing-value": ["exchanges:\n  x:\nqueues:\nbindings:\n"],
    "wrong-type": ["environment: yes\n", "environment: '1.2'\n", "exchanges: {x: {durable: True}}\n"],
    "not-allowed-value": [FLOW.replace("x: {}", "x: {mode: off}")],
    "out-of-range": [
        FLOW.replace("lifetime: 1s", "lifetime: 1s, priority: 31"),
        FLOW.replace("lifetime: 1s", "lifetime: 1s, priority: 0"),
        "retry: {max_retries: 20, delay: 1s}\n",
        "limits: {max_queues: -1}\n",
    ],
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
        "topology-twice",
        "files-disagree",
    }
)
"""Rules that need more than one text; `test_files`, `test_overlays`, `test_variables` and `plan/test_agreement` have
them."""
