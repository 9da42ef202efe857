"""One method for each call to the management API; its paths are spelled here and nowhere else.

Speaks JSON in the API's own shapes; `reading` and `perform` turn them into values and back. Every
method raises a `BrokerError` when the broker does not answer or says no.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from letrade_topo.broker.reach import LoginReach, Tag, Width
from letrade_topo.management.answers import JsonObject
from letrade_topo.management.calls import Call, Right, path
from letrade_topo.management.endpoint import ManagementEndpoint
from letrade_topo.management.errors import BrokerRefused, NoManagementApi, NotFound
from letrade_topo.management.refusals import Caller, missing_tag
from letrade_topo.management.transport import Observer, Transport, unobserved
from letrade_topo.model.messages import Json

TIMEOUT_SECONDS = 60.0
"""PUT of a vhost waits up to 45 s for all nodes (rabbit_vhost:put_vhost)."""

POOL_SIZE = 8
"""Kept-alive connections. On two cores 8 threads created queues twice as fast as one; more gained nothing."""

MOST_ON_PAGE = 500
"""The broker's own limit."""

_ELECTION_SECONDS = 5.0

_VERBS = re.compile(r"(?:\(\*[A-Z0-9_=]+\))+")


class ManagementClient:
    """The management API of one broker, as one user.

    Args:
        endpoint: which broker, as whom.
        timeout_seconds: how long to wait for an answer.
        pool_size: connections kept open; more threads than that wait for each other.
        observe: told of every HTTP request.
        width: how wide to look; None: as wide as the user's tags let it.

    Raises:
        InvalidEndpoint: the CA file cannot be used.
    """

    def __init__(
        self,
        endpoint: ManagementEndpoint,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        pool_size: int = POOL_SIZE,
        observe: Observer = unobserved,
        width: Width | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._width = width
        self._transport = Transport(endpoint, timeout_seconds=timeout_seconds, pool_size=pool_size, observe=observe)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    @property
    def observe(self) -> Observer:
        """Who is told of every HTTP request."""
        return self._transport.observe

    @property
    def calls(self) -> int:
        """How many HTTP requests were sent so far, repeated ones counted again."""
        return self._transport.calls

    # Who and what

    def whoami(self) -> Caller:
        """As whom the broker knows us; asked once."""
        return self._transport.whoami()

    def reach(self) -> LoginReach:
        """How far this user reaches.

        Raises:
            MissingRight: the whole cluster was asked for, and the user is no administrator.
        """
        caller = self.whoami()
        if self._width is Width.CLUSTER and Tag.ADMINISTRATOR not in caller.tags:
            raise missing_tag("look at the whole cluster (--scope cluster)", caller, Right.ADMINISTRATOR)
        return LoginReach.of(caller.tags, self._width)

    def check_paths(self) -> None:
        """Make sure that nothing rewrites paths on the way; asked once, and before anything whose name matters."""
        self._transport.check_paths()

    def has_vhost(self, vhost: str) -> bool:
        """Whether a vhost is there, told by the list of all: a 404 proves nothing. As an administrator."""
        query = path("vhosts", columns="name", disable_stats="true")
        names = self._array(Call("GET", query, "read the names of the vhosts", Right.ADMINISTRATOR))
        return any(item.get("name") == vhost for item in names)

    def has_user(self, user: str) -> bool:
        """Whether a user is there, told by the list of all."""
        return any(item.get("name") == user for item in self.users())

    def overview(self) -> JsonObject:
        """Version, cluster name and (for monitors and administrators) listeners; without statistics of messages."""
        # `columns` is honoured everywhere from 3.10; disable_stats would leave the listeners out too.
        query = path("overview", columns="rabbitmq_version,cluster_name,listeners,exchange_types.name")
        return self._object(Call("GET", query, "read the broker's overview"))

    def nodes(self) -> Sequence[JsonObject]:
        """`name`, `running` and (where statistics are known) `enabled_plugins` of all nodes."""
        query = path("nodes", columns="name,running,enabled_plugins")
        return self._array(Call("GET", query, "read the broker's nodes", Right.ADMINISTRATOR))

    def vhosts(self) -> Sequence[JsonObject]:
        """The vhosts that this user may see: for an administrator and for who monitors, all."""
        return self._array(Call("GET", path("vhosts", disable_stats="true"), "read the vhosts"))

    # Lists of one vhost

    def vhost(self, vhost: str) -> JsonObject:
        """The vhost; NotFound when there is none."""
        return self._object(Call("GET", path("vhosts", vhost), f"read vhost {vhost!r}", Right.ADMINISTRATOR, vhost))

    def exchanges(self, vhost: str) -> Sequence[JsonObject]:
        """All exchanges, the broker's own too."""
        columns = "name,type,durable,auto_delete,internal,arguments,policy"
        return self._list(vhost, "the exchanges", path("exchanges", vhost, disable_stats="true", columns=columns))

    def queues(self, vhost: str) -> Sequence[JsonObject]:
        """All queues, with their number of messages but without statistics or consumers."""
        columns = "name,durable,auto_delete,exclusive,arguments,type,policy,operator_policy,state,messages"
        query = path("queues", vhost, disable_stats="true", enable_queue_totals="true", columns=columns)
        return self._list(vhost, "the queues", query)

    def queue(self, vhost: str, name: str) -> JsonObject:
        """`GET /queues/{vhost}/{name}`: one queue, without statistics."""
        query = path("queues", vhost, name, disable_stats="true")
        return self._object(Call("GET", query, f"read queue {name!r}", vhost=vhost))

    def queue_messages(self, vhost: str, name: str) -> int | None:
        """How many messages a queue holds by the statistics; None where they do not say, as of one without a leader."""
        query = path("queues", vhost, name, columns="name,messages")
        found = self._object(Call("GET", query, f"read queue {name!r}", vhost=vhost)).get("messages")
        return found if isinstance(found, int) else None

    def exchange(self, vhost: str, name: str) -> JsonObject:
        """`GET /exchanges/{vhost}/{name}`: one exchange, without statistics."""
        query = path("exchanges", vhost, name, disable_stats="true")
        return self._object(Call("GET", query, f"read exchange {name!r}", vhost=vhost))

    def bindings_to(self, vhost: str, destination_type: str, name: str) -> Sequence[JsonObject]:
        """`GET /queues/{vhost}/{name}/bindings` or `/exchanges/{vhost}/{name}/bindings/destination`."""
        query = path("queues", vhost, name, "bindings")
        if destination_type == "exchange":
            query = path("exchanges", vhost, name, "bindings", "destination")
        return self._array(Call("GET", query, f"read the bindings of {destination_type} {name!r}", vhost=vhost))

    def taken_rates(self, vhost: str) -> Mapping[str, float]:
        """How many messages a second consumers took of late, by queue name; nothing where the broker keeps no rates."""
        column = "message_stats.deliver_get_details.rate"
        call = Call("GET", path("queues", vhost, columns=f"name,{column}"), "read rates", vhost=vhost)
        try:
            items = self._array(call)
        except BrokerRefused:
            return {}
        rates = {item["name"]: (item.get("message_stats") or {}).get("deliver_get_details") or {} for item in items}
        return {name: float(found.get("rate") or 0.0) for name, found in rates.items()}

    def queue_sizes(self, vhost: str) -> Mapping[str, int]:
        """How many bytes of bodies queues hold, by name; nothing where the broker keeps no statistics."""
        call = Call("GET", path("queues", vhost, columns="name,message_bytes"), "read sizes", vhost=vhost)
        try:
            items = self._array(call)
        except BrokerRefused:
            return {}
        return {item["name"]: int(item.get("message_bytes") or 0) for item in items}

    def node_disks(self) -> Sequence[JsonObject]:
        """`name`, `running` and (where statistics are known) `disk_free` and `disk_free_limit` of all nodes."""
        query = path("nodes", columns="name,running,disk_free,disk_free_limit")
        return self._array(Call("GET", query, "read the nodes' disks", Right.ADMINISTRATOR))

    def queue_totals(self, vhost: str) -> Sequence[JsonObject]:
        """`name`, `state`, `messages`, `messages_ready` and `messages_unacknowledged` of all queues."""
        columns = "name,state,messages,messages_ready,messages_unacknowledged"
        query = path("queues", vhost, disable_stats="true", enable_queue_totals="true", columns=columns)
        return self._list(vhost, "the message counts", query)

    def queue_statistics(self, vhost: str) -> Sequence[JsonObject]:
        """`name` and `message_stats` of all queues; refused where statistics are disabled."""
        columns = "name,message_stats.publish_details.rate,message_stats.deliver_get_details.rate"
        return self._list(vhost, "the statistics of queues", path("queues", vhost, columns=columns))

    def consumer_counts(self, vhost: str) -> Sequence[JsonObject]:
        """`name` and `consumers` of all queues, by the broker's statistics: of a new queue, nothing at first."""
        return self._list(vhost, "the consumer counts", path("queues", vhost, columns="name,consumers"))

    def consumers(self, vhost: str) -> Sequence[JsonObject]:
        """`queue.name` of every consumer; of all users only for monitors and administrators."""
        return self._list(vhost, "the consumers", path("consumers", vhost, columns="queue.name"))

    def bindings(self, vhost: str) -> Sequence[JsonObject]:
        """All bindings, those of the default exchange too."""
        return self._list(vhost, "the bindings", path("bindings", vhost))

    def bindings_between(
        self, vhost: str, source: str, destination_type: str, destination: str
    ) -> Sequence[JsonObject]:
        """All bindings from one exchange to one queue or exchange."""
        between = _between(vhost, source, destination_type, destination)
        return self._list(vhost, f"the bindings from {source!r} to {destination!r}", between)

    def names_that_match(self, vhost: str, kind: str, expression: str) -> frozenset[str]:
        """The queues or exchanges whose names a regular expression matches, by the broker's own engine.

        Args:
            vhost: where.
            kind: `queues` or `exchanges`.
            expression: as in a policy: found anywhere in the name, by its case.

        Raises:
            BrokerRefused: the expression does not compile.
        """
        # The filter of a listing ignores case unless the expression says otherwise, behind verbs like (*UTF8).
        verbs = _VERBS.match(expression)
        at = verbs.end() if verbs else 0
        by_case = f"{expression[:at]}(?-i){expression[at:]}"
        names: set[str] = set()
        page, pages = 1, 1
        while page <= pages:
            query = path(
                kind,
                vhost,
                disable_stats="true",
                columns="name",
                page=str(page),
                page_size=str(MOST_ON_PAGE),
                use_regex="true",
                name=by_case,
            )
            found = self._object(Call("GET", query, f"find {kind} of vhost {vhost!r} by name", vhost=vhost))
            names.update(item["name"] for item in found["items"])
            page, pages = page + 1, int(found["page_count"])
        return frozenset(names)

    def policies(self, vhost: str) -> Sequence[JsonObject]:
        """All policies."""
        return self._list(vhost, "the policies", path("policies", vhost))

    def operator_policies(self, vhost: str) -> Sequence[JsonObject]:
        """All operator policies."""
        return self._list(vhost, "the operator policies", path("operator-policies", vhost))

    def permissions(self, vhost: str) -> Sequence[JsonObject]:
        """All permissions."""
        query = path("vhosts", vhost, "permissions")
        return self._list(vhost, "the permissions", query, Right.ADMINISTRATOR)

    def all_permissions(self) -> Sequence[JsonObject]:
        """All permissions of all vhosts."""
        return self._array(Call("GET", path("permissions"), "read the permissions of all vhosts", Right.ADMINISTRATOR))

    def topic_permissions(self, vhost: str) -> Sequence[JsonObject]:
        """All topic permissions."""
        query = path("vhosts", vhost, "topic-permissions")
        return self._list(vhost, "the topic permissions", query, Right.ADMINISTRATOR)

    def vhost_limits(self, vhost: str) -> Sequence[JsonObject]:
        """The limits of the vhost: at most one item."""
        return self._list(vhost, "the limits", path("vhost-limits", vhost))

    def leaderless_queues(self, vhost: str) -> Sequence[JsonObject]:
        """`name` of every quorum queue that has had no leader for five seconds; from 4.1 on, NotFound before.

        One that is being made, or that elects another leader, has none for a moment.
        """
        lasting, until = self._leaderless_now(vhost), time.monotonic() + _ELECTION_SECONDS
        while lasting and time.monotonic() < until:
            time.sleep(_ELECTION_SECONDS / 20)
            still = {str(one["name"]) for one in self._leaderless_now(vhost)}
            lasting = [one for one in lasting if str(one["name"]) in still]
        return lasting

    def _leaderless_now(self, vhost: str) -> Sequence[JsonObject]:
        query = path("health", "checks", "quorum-queues-without-elected-leaders", "vhost", vhost)
        doing = f"check the leaders of the queues of vhost {vhost!r}"
        call = Call("GET", query, doing, vhost=vhost, answers=frozenset({503}))
        match self._object(call):
            case {"status": "ok"}:
                return ()
            case {"status": "failed", "queues": list(queues)}:
                return queues
            case _:
                raise _other_shape(call)

    def alarms(self) -> Sequence[JsonObject]:
        """`node` and `resource` (`memory`, `disk`) of every alarm, because of which publishers are held."""
        call = Call("GET", path("health", "checks", "alarms"), "ask for alarms", answers=frozenset({503}))
        match self._object(call):
            case {"status": "ok"}:
                return ()
            case {"status": "failed", "alarms": list(alarms)}:
                return alarms
            case _:
                raise _other_shape(call)

    # Lists of the cluster

    def feature_flags(self) -> Sequence[JsonObject]:
        """`name`, `state` and `stability` of every feature flag."""
        query = path("feature-flags", columns="name,state,stability")
        return self._array(Call("GET", query, "read the feature flags", Right.ADMINISTRATOR))

    def definitions_tag(self, known: str = "") -> str:
        """A tag that is another whenever any metadata of the cluster are others; empty before 4.3.5.

        Args:
            known: an earlier tag; the broker then need not build what it does not send, if nothing has changed.
        """
        doing = "ask whether the definitions have changed"
        answers = frozenset({304})
        call = Call("HEAD", path("definitions"), doing, Right.ADMINISTRATOR, unless_tag=known, answers=answers)
        answer = self._transport.send(call)
        return known if answer.status in answers else answer.tag

    def definitions(self) -> JsonObject:
        """All that is declared in the cluster, as the broker exports it, in one answer."""
        return self._object(Call("GET", path("definitions"), "export the definitions", Right.ADMINISTRATOR))

    def deprecated_features(self) -> Sequence[JsonObject]:
        """`name` and (from 4.1 on) `state`, `permitted` or `denied`, of what RabbitMQ gives up; none before 3.13."""
        try:
            return self._array(Call("GET", path("deprecated-features"), "read the deprecated features"))
        except NotFound:
            return ()

    def users(self) -> Sequence[JsonObject]:
        """All users, with hashes and limits."""
        return self._array(Call("GET", path("users"), "read the users", Right.ADMINISTRATOR))

    def global_parameters(self) -> Sequence[JsonObject]:
        """All global parameters."""
        return self._array(Call("GET", path("global-parameters"), "read the global parameters", Right.POLICYMAKER))

    def parameters(self) -> Sequence[JsonObject]:
        """All runtime parameters of all vhosts: limits, shovels, upstreams; policies are none of them."""
        return self._array(Call("GET", path("parameters"), "read the parameters", Right.POLICYMAKER))

    # Global parameters

    def global_parameter(self, name: str) -> Json:
        """The value of a global parameter; NotFound when there is none."""
        call = Call("GET", path("global-parameters", name), f"read global parameter {name!r}", Right.POLICYMAKER)
        value: Json = self._object(call)["value"]
        return value

    def put_global_parameter(self, name: str, value: Json) -> None:
        """Make or overwrite a global parameter; any JSON value will do."""
        doing = f"write global parameter {name!r}"
        body = {"name": name, "value": value}
        self._send(Call("PUT", path("global-parameters", name), doing, Right.POLICYMAKER, body=body))

    def delete_global_parameter(self, name: str) -> None:
        """Delete a global parameter, if it is there."""
        doing = f"delete global parameter {name!r}"
        self._delete(Call("DELETE", path("global-parameters", name), doing, Right.POLICYMAKER))

    # Single objects. `put_…` makes or, where the broker can, changes; `delete_…` finds nothing to do
    # when the object is absent.

    def put_vhost(self, vhost: str, body: JsonObject) -> None:
        """Make a vhost, which also gives the caller all permissions in it. May take 45 s."""
        doing = f"make vhost {vhost!r}"
        self._send(Call("PUT", path("vhosts", vhost), doing, Right.ADMINISTRATOR, vhost, body=body))

    def delete_vhost(self, vhost: str) -> None:
        """Delete a vhost with all that is in it."""
        self._delete(Call("DELETE", path("vhosts", vhost), f"delete vhost {vhost!r}", Right.ADMINISTRATOR, vhost))

    def protect_vhost(self, vhost: str) -> None:
        """From now on the broker refuses to delete the vhost (4.0.6)."""
        doing = f"protect vhost {vhost!r} from deletion"
        query = path("vhosts", vhost, "deletion", "protection")
        self._send(Call("POST", query, doing, Right.ADMINISTRATOR, vhost))

    def unprotect_vhost(self, vhost: str) -> None:
        """The vhost may be deleted again."""
        doing = f"lift the protection of vhost {vhost!r} from deletion"
        self._delete(Call("DELETE", path("vhosts", vhost, "deletion", "protection"), doing, Right.ADMINISTRATOR, vhost))

    def put_vhost_limit(self, vhost: str, name: str, value: int) -> None:
        """Set one limit of a vhost and leave the others."""
        doing = f"set limit {name!r} of vhost {vhost!r}"
        query = path("vhost-limits", vhost, name)
        self._send(Call("PUT", query, doing, Right.ADMINISTRATOR, vhost, body={"value": value}))

    def delete_vhost_limit(self, vhost: str, name: str) -> None:
        """Lift one limit of a vhost."""
        doing = f"lift limit {name!r} of vhost {vhost!r}"
        self._delete(Call("DELETE", path("vhost-limits", vhost, name), doing, Right.ADMINISTRATOR, vhost))

    def user(self, user: str) -> JsonObject:
        """One user; NotFound when there is none."""
        return self._object(Call("GET", path("users", user), f"read user {user!r}", Right.ADMINISTRATOR))

    def put_user(self, user: str, body: JsonObject) -> None:
        """Make or overwrite a user; a body without password and hash would wipe the password."""
        self._send(Call("PUT", path("users", user), f"write user {user!r}", Right.ADMINISTRATOR, body=body))

    def delete_user(self, user: str) -> None:
        """Delete a user with its permissions and limits."""
        self._delete(Call("DELETE", path("users", user), f"delete user {user!r}", Right.ADMINISTRATOR))

    def connections_of(self, user: str) -> Sequence[JsonObject]:
        """The open connections of a user in all vhosts, told by the broker's own list, not by its statistics."""
        query = path("connections", "username", user)
        return self._array(Call("GET", query, f"read the connections of user {user!r}", Right.ADMINISTRATOR))

    def close_connections_of(self, user: str, reason: str) -> None:
        """Close all open connections of a user; its clients get 320 with the reason."""
        query, doing = path("connections", "username", user), f"close the connections of user {user!r}"
        self._delete(Call("DELETE", query, doing, Right.ADMINISTRATOR, reason=reason))

    def put_user_limit(self, user: str, name: str, value: int) -> None:
        """Set one limit of a user and leave the others."""
        doing = f"set limit {name!r} of user {user!r}"
        query = path("user-limits", user, name)
        self._send(Call("PUT", query, doing, Right.ADMINISTRATOR, body={"value": value}))

    def delete_user_limit(self, user: str, name: str) -> None:
        """Lift one limit of a user."""
        doing = f"lift limit {name!r} of user {user!r}"
        self._delete(Call("DELETE", path("user-limits", user, name), doing, Right.ADMINISTRATOR))

    def put_exchange(self, vhost: str, name: str, body: JsonObject) -> None:
        """Declare an exchange."""
        self._put_in_vhost(vhost, "exchange", name, path("exchanges", vhost, name), body)

    def delete_exchange(self, vhost: str, name: str) -> None:
        """Delete an exchange with its bindings."""
        self._delete_in_vhost(vhost, "exchange", name, path("exchanges", vhost, name))

    def put_queue(self, vhost: str, name: str, body: JsonObject) -> None:
        """Declare a queue."""
        self._put_in_vhost(vhost, "queue", name, path("queues", vhost, name), body)

    def delete_queue(self, vhost: str, name: str, *, if_empty: bool = False, if_unused: bool = False) -> None:
        """Delete a queue with its bindings; quorum queues refuse both conditions with 400."""
        query = {key: "true" for key, wanted in (("if-empty", if_empty), ("if-unused", if_unused)) if wanted}
        self._delete_in_vhost(vhost, "queue", name, path("queues", vhost, name, **query))

    def post_binding(self, vhost: str, source: str, destination_type: str, destination: str, body: JsonObject) -> None:
        """Bind; finds the same binding when it is there already."""
        doing = f"bind {destination_type} {destination!r} to exchange {source!r} in vhost {vhost!r}"
        query = _between(vhost, source, destination_type, destination)
        self._send(Call("POST", query, doing, vhost=vhost, name=destination, body=body))

    def delete_binding(
        self, vhost: str, source: str, destination_type: str, destination: str, properties_key: str
    ) -> None:
        """Unbind, by the key under which the broker lists the binding."""
        doing = f"unbind {destination_type} {destination!r} from exchange {source!r} in vhost {vhost!r}"
        query = _between(vhost, source, destination_type, destination) + path(properties_key)
        self._delete(Call("DELETE", query, doing, vhost=vhost))

    def put_policy(self, vhost: str, name: str, body: JsonObject) -> None:
        """Make or overwrite a policy."""
        self._put_in_vhost(vhost, "policy", name, path("policies", vhost, name), body, Right.POLICYMAKER)

    def delete_policy(self, vhost: str, name: str) -> None:
        """Delete a policy."""
        self._delete_in_vhost(vhost, "policy", name, path("policies", vhost, name), Right.POLICYMAKER)

    def put_operator_policy(self, vhost: str, name: str, body: JsonObject) -> None:
        """Make or overwrite an operator policy."""
        query = path("operator-policies", vhost, name)
        self._put_in_vhost(vhost, "operator policy", name, query, body, Right.ADMINISTRATOR)

    def delete_operator_policy(self, vhost: str, name: str) -> None:
        """Delete an operator policy."""
        query = path("operator-policies", vhost, name)
        self._delete_in_vhost(vhost, "operator policy", name, query, Right.ADMINISTRATOR)

    def put_parameter(self, vhost: str, component: str, name: str, value: Json) -> None:
        """Make or overwrite a runtime parameter; what its plug-in makes of the value comes later."""
        query = path("parameters", component, vhost, name)
        self._put_in_vhost(vhost, f"the {component}", name, query, {"value": value}, Right.POLICYMAKER)

    def delete_parameter(self, vhost: str, component: str, name: str) -> None:
        """Delete a runtime parameter."""
        query = path("parameters", component, vhost, name)
        self._delete_in_vhost(vhost, f"the {component}", name, query, Right.POLICYMAKER)

    def put_permission(self, vhost: str, user: str, body: JsonObject) -> None:
        """Make or overwrite a user's permission."""
        query = path("permissions", vhost, user)
        self._put_in_vhost(vhost, "the permission of user", user, query, body, Right.ADMINISTRATOR)

    def delete_permission(self, vhost: str, user: str) -> None:
        """Delete a user's permission."""
        query = path("permissions", vhost, user)
        self._delete_in_vhost(vhost, "the permission of user", user, query, Right.ADMINISTRATOR)

    def put_topic_permission(self, vhost: str, user: str, body: JsonObject) -> None:
        """Make or overwrite a user's topic permission on the exchange that the body names."""
        query = path("topic-permissions", vhost, user)
        self._put_in_vhost(vhost, "a topic permission of user", user, query, body, Right.ADMINISTRATOR)

    def delete_topic_permission(self, vhost: str, user: str, exchange: str) -> None:
        """Delete a user's topic permission on one exchange; those on others stay."""
        query = path("topic-permissions", vhost, user, exchange)
        self._delete_in_vhost(vhost, "a topic permission of user", user, query, Right.ADMINISTRATOR)

    def delete_topic_permissions(self, vhost: str, user: str) -> None:
        """Delete all topic permissions of a user in a vhost, that on the default exchange, too."""
        query = path("topic-permissions", vhost, user)
        self._delete_in_vhost(vhost, "the topic permissions of user", user, query, Right.ADMINISTRATOR)

    # In bulk

    def import_definitions(self, objects: Mapping[str, Sequence[JsonObject]], vhost: str) -> None:
        """Make any number of objects in one call.

        What exists of exchanges, queues and bindings is skipped in silence, even when it differs; users,
        policies and permissions are overwritten. The first error ends the import, and part of the objects
        are made by then: trust only what is read afterwards.

        Args:
            objects: lists by the names that definitions files use (`queues`, `bindings`, …), every field of
                every item written, `vhost` included.
            vhost: for messages.
        """
        counted = ", ".join(f"{len(items)} {category}" for category, items in objects.items())
        doing = f"import definitions into vhost {vhost!r} ({counted})"
        self._send(Call("POST", path("definitions"), doing, Right.ADMINISTRATOR, vhost, body=objects))

    def _put_in_vhost(
        self, vhost: str, kind: str, name: str, query: str, body: JsonObject, needs: Right = Right.MANAGEMENT
    ) -> None:
        doing = f"make or change {kind} {name!r} in vhost {vhost!r}"
        self._send(Call("PUT", query, doing, needs, vhost, name, body))

    def _delete_in_vhost(self, vhost: str, kind: str, name: str, query: str, needs: Right = Right.MANAGEMENT) -> None:
        self._delete(Call("DELETE", query, f"delete {kind} {name!r} in vhost {vhost!r}", needs, vhost, name))

    def _send(self, call: Call) -> None:
        self._transport.send(call)

    def _delete(self, call: Call) -> None:
        try:
            self._transport.send(call)
        except NotFound:
            return  # gone already: by somebody else, or by a first attempt whose answer was lost

    def _object(self, call: Call) -> JsonObject:
        found = self._transport.fetch(call)
        if not isinstance(found, dict):
            raise _other_shape(call)
        return found

    def _list(self, vhost: str, what: str, query: str, needs: Right = Right.MANAGEMENT) -> Sequence[JsonObject]:
        return self._array(Call("GET", query, f"read {what} of vhost {vhost!r}", needs, vhost))

    def _array(self, call: Call) -> Sequence[JsonObject]:
        found: Any = self._transport.fetch(call)
        if isinstance(found, dict) and isinstance(found.get("items"), list):
            if found.get("page_count", 1) > 1:
                raise _other_shape(call)  # of the rest nothing would be known
            found = found["items"]  # a page: some lists come in one whether asked for or not
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise _other_shape(call)
        return found


def _between(vhost: str, source: str, destination_type: str, destination: str) -> str:
    end = "q" if destination_type == "queue" else "e"
    return path("bindings", vhost, "e", source, end, destination)


def _other_shape(call: Call) -> NoManagementApi:
    return NoManagementApi(
        f"an answer of the management API has an unknown shape (when asked to {call.doing})",
        why="either this is another product, or a version of RabbitMQ that this tool does not know",
    )
