"""One method for each call to the management API; its paths are spelled here and nowhere else.

Speaks JSON in the API's own shapes; `reading` and `perform` turn them into values and back. Every
method raises a `ManagementError` when the broker does not answer or says no.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from letrade_topo.management.answers import JsonObject
from letrade_topo.management.calls import Call, Right, path
from letrade_topo.management.endpoint import Endpoint
from letrade_topo.management.errors import NoManagementApi, NotFound
from letrade_topo.management.refusals import Caller
from letrade_topo.management.transport import Observer, Transport, unobserved
from letrade_topo.model.messages import Json

TIMEOUT_SECONDS = 60.0
"""PUT of a vhost waits up to 45 s for all nodes (rabbit_vhost:put_vhost)."""

POOL_SIZE = 8
"""Kept-alive connections. On two cores 8 threads created queues twice as fast as one; more gained nothing."""


class ManagementClient:
    """The management API of one broker, as one user.

    Args:
        endpoint: which broker, as whom.
        timeout_seconds: how long to wait for an answer.
        pool_size: connections kept open; more threads than that wait for each other.
        observe: told of every HTTP request.

    Raises:
        InvalidEndpoint: the CA file cannot be used.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        pool_size: int = POOL_SIZE,
        observe: Observer = unobserved,
    ) -> None:
        self.endpoint = endpoint
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

    def overview(self) -> JsonObject:
        """Version, cluster name and (for monitors and administrators) listeners; without statistics of messages."""
        # `columns` is honoured everywhere from 3.10; disable_stats would leave the listeners out too.
        query = path("overview", columns="rabbitmq_version,cluster_name,listeners")
        return self._object(Call("GET", query, "read the broker's overview"))

    # Lists of one vhost

    def vhost(self, vhost: str) -> JsonObject:
        """The vhost; NotFound when there is none."""
        return self._object(Call("GET", path("vhosts", vhost), f"read vhost {vhost!r}", Right.ADMINISTRATOR, vhost))

    def exchanges(self, vhost: str) -> Sequence[JsonObject]:
        """All exchanges, the broker's own too."""
        columns = "name,type,durable,auto_delete,internal,arguments"
        return self._list(vhost, "the exchanges", path("exchanges", vhost, disable_stats="true", columns=columns))

    def queues(self, vhost: str) -> Sequence[JsonObject]:
        """All queues, with their number of messages but without statistics or consumers."""
        columns = "name,durable,auto_delete,exclusive,arguments,type,policy,messages"
        query = path("queues", vhost, disable_stats="true", enable_queue_totals="true", columns=columns)
        return self._list(vhost, "the queues", query)

    def queue_totals(self, vhost: str) -> Sequence[JsonObject]:
        """`name`, `messages`, `messages_ready` and `messages_unacknowledged` of all queues."""
        columns = "name,messages,messages_ready,messages_unacknowledged"
        query = path("queues", vhost, disable_stats="true", enable_queue_totals="true", columns=columns)
        return self._list(vhost, "the message counts", query)

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

    def topic_permissions(self, vhost: str) -> Sequence[JsonObject]:
        """All topic permissions."""
        query = path("vhosts", vhost, "topic-permissions")
        return self._list(vhost, "the topic permissions", query, Right.ADMINISTRATOR)

    def vhost_limits(self, vhost: str) -> Sequence[JsonObject]:
        """The limits of the vhost: at most one item."""
        return self._list(vhost, "the limits", path("vhost-limits", vhost))

    # Lists of the cluster

    def users(self) -> Sequence[JsonObject]:
        """All users, with hashes and limits."""
        return self._array(Call("GET", path("users"), "read the users", Right.ADMINISTRATOR))

    def global_parameters(self) -> Sequence[JsonObject]:
        """All global parameters."""
        return self._array(Call("GET", path("global-parameters"), "read the global parameters", Right.POLICYMAKER))

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
