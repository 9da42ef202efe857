"""Why a broker breaks down over a listing of its own, and how to get rid of it: in words, with commands.

Seen on 3.10.8, 4.0.5 and 4.3.6: the listing of a whole vhost answers 500 for the sake of one object in it.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from letrade_topo.management.calls import Call

_ODD_BINDING = (
    '(A =/= [] andalso binary:match(K, <<"~">>) =/= nomatch andalso binary:last(K) =/= $~)'
    " orelse unicode:characters_to_binary(K) =/= K"
)


@dataclass(frozen=True, slots=True)
class Advice:
    """What is probably wrong, and what to do."""

    why: str
    fix: str


def advice(call: Call) -> Advice | None:
    """What to say when a call's answer is a breakdown; None where it is no listing of a vhost."""
    if call.method != "GET" or call.vhost is None:
        return None
    vhost = _binary(call.vhost)
    match call.path.split("/")[1].partition("?")[0]:
        case "bindings":
            find = f"[B || B = {{binding, _, K, _, A}} <- rabbit_binding:list({vhost}), {_ODD_BINDING}]."
            return Advice(
                "RabbitMQ breaks down over a binding that has arguments and a `~` within its key, and over names and"
                " keys that are not UTF-8; one of them is enough for the whole vhost",
                f"find it: {_eval(find)}; remove it with an AMQP client (queue.unbind, exchange.unbind), or with"
                ' `rabbit_binding:remove(B, <<"me">>)` in place of the first B',
            )
        case "queues":
            find = (
                f"[N || Q <- rabbit_amqqueue:list({vhost}), N <- [element(4, amqqueue:get_name(Q))],"
                " unicode:characters_to_binary(N) =/= N orelse"
                " [K || {K, _, _} <- amqqueue:get_arguments(Q), unicode:characters_to_binary(K) =/= K] =/= []]."
            )
            return Advice(
                "RabbitMQ breaks down over a queue whose name, or the name of an argument, is not UTF-8",
                f"find it: {_eval(find)}; delete it with an AMQP client (queue.delete), once it is empty",
            )
        case "exchanges":
            find = (
                f"[N || X <- rabbit_exchange:list({vhost}), N <- [element(4, element(2, X))],"
                " unicode:characters_to_binary(N) =/= N]."
            )
            return Advice(
                "RabbitMQ breaks down over an exchange whose name is not UTF-8",
                f"find it: {_eval(find)}; delete it with an AMQP client (exchange.delete)",
            )
        case _:
            return None


def _binary(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'<<"{escaped}"/utf8>>'


def _eval(expression: str) -> str:
    return f"rabbitmqctl eval {shlex.quote(expression)}"
