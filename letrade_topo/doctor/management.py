"""The broker behind the management API: who we are there, what it is, and how it is doing."""

from __future__ import annotations

from dataclasses import dataclass, field

from letrade_topo.broker.capabilities import NEWEST, for_version, numbers_of
from letrade_topo.broker_errors import LoginRefused
from letrade_topo.doctor.checkup import Checkup, Seen, Verdict
from letrade_topo.errors import TopoError
from letrade_topo.management.calls import INCLUDED_TAGS, Right
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import MissingRight

_LIFTS = {
    "memory": "consume or delete messages, or give it more: `rabbitmqctl set_vm_memory_high_watermark 0.6`",
    "disk": "free space on the broker's disk, or lower the limit that it has to have free:"
    " `rabbitmqctl set_disk_free_limit 50MB`",
}
_KHEPRI = "khepri_db"


@dataclass(slots=True)
class BrokerChecks:
    """Checks of one broker, as one user.

    Args:
        client: to it.
    """

    client: ManagementClient
    _refused: TopoError | None = field(default=None, init=False)

    def reach(self, checkup: Checkup) -> None:
        """See whether it is a broker's management API that answers."""
        checkup.check("plugin", "RabbitMQ's management API answers", self._is_management, needs=("tls",))

    def make(self, checkup: Checkup) -> None:
        """Make all others."""
        checkup.check("login", "the broker knows this user and password", self._login, needs=("plugin",))
        checkup.check("tag", "the user is an administrator", self._tag, needs=("login",))
        checkup.check("paths", "paths arrive as they are sent", self._paths, needs=("tag",))
        checkup.check("version", "RabbitMQ 3.10 or newer", self._version, needs=("tag",))
        checkup.check("nodes", "every node of the cluster runs", self._nodes, needs=("tag",))
        checkup.check("feature flags", "all stable ones are enabled", self._feature_flags, needs=("tag",))
        checkup.check("alarms", "none; they hold publishers", self._alarms, needs=("tag",))

    def _is_management(self) -> Seen:
        try:
            self.client.whoami()
        except (LoginRefused, MissingRight) as error:  # of whom it is the next question
            self._refused = error
        return Seen(f"{self.client.endpoint.url}/api answers")

    def _login(self) -> Seen:
        if isinstance(self._refused, LoginRefused):
            raise self._refused
        return Seen(f"logged in as {self.client.endpoint.username!r}")

    def _tag(self) -> Seen:
        if self._refused is not None:
            raise self._refused
        caller = self.client.whoami()
        if not INCLUDED_TAGS[Right.ADMINISTRATOR] & set(caller.tags):
            has = ", ".join(caller.tags) or "none"
            wanted = " ".join((*caller.tags, Right.ADMINISTRATOR))
            raise MissingRight(
                f"user {caller.name!r} is no administrator",
                why=f"it has the tags {has}; users, permissions, nodes are an administrator's. plan, apply, drift do "
                "without, for what lives in the vhost",
                fix=f"use a user that is, or make it one: `rabbitmqctl set_user_tags {caller.name} {wanted}`",
                user=caller.name,
                tags=caller.tags,
                needed="the tag 'administrator'",
            )
        return Seen(f"{caller.name} is {', '.join(caller.tags)}")

    def _paths(self) -> Seen:
        self.client.check_paths()
        return Seen("an encoded slash arrived as one")

    def _version(self) -> Seen:
        version = str(self.client.overview().get("rabbitmq_version"))
        capabilities = for_version(version)
        if numbers_of(version) > numbers_of(NEWEST):
            why = f"the newest that this tool was tried with is {NEWEST}"
            return Seen(f"RabbitMQ {version}", Verdict.WARNING, "see whether there is a newer letrade-topo", why)
        return Seen(f"RabbitMQ {version}, known as {capabilities.series}")

    def _nodes(self) -> Seen:
        nodes = self.client.nodes()
        down = [str(one.get("name")) for one in nodes if not one.get("running")]
        if down:
            return Seen(
                f"{len(down)} of {len(nodes)} nodes do not run: {', '.join(down)}",
                Verdict.FAILED,
                "start them; queues without a majority of their members hold their messages until then",
                kind="NodeDown",
            )
        return Seen(", ".join(str(one.get("name")) for one in nodes))

    def _feature_flags(self) -> Seen:
        flags = self.client.feature_flags()
        states = {str(one["name"]): str(one.get("state")) for one in flags}
        store = "Khepri" if states.get(_KHEPRI) == "enabled" else "Mnesia"
        off = [
            str(one["name"])
            for one in flags
            if one.get("state") == "disabled" and one.get("stability") in ("stable", "required")
        ]
        seen = f"{sum(state == 'enabled' for state in states.values())} enabled"
        if _KHEPRI in states:
            seen += f"; metadata in {store}"
        if off:
            return Seen(
                f"not enabled: {', '.join(off)}",
                Verdict.WARNING,
                "when every node has the new version: `rabbitmqctl enable_feature_flag all`; an upgrade may demand it",
                seen,
            )
        return Seen(seen)

    def _alarms(self) -> Seen:
        alarms = self.client.alarms()
        if not alarms:
            return Seen("none")
        resources = list(dict.fromkeys(str(one.get("resource")) for one in alarms))
        nodes = ", ".join(dict.fromkeys(str(one.get("node")) for one in alarms))
        fix = "; ".join(_lift(one) for one in resources)
        what = f"the broker is short of {' and '.join(resources)}"
        why = f"an alarm on {nodes}: every connection that publishes is held until it ends"
        return Seen(what, Verdict.FAILED, fix, why, "AlarmInForce")


def _lift(resource: str) -> str:
    """What ends an alarm; the resource is `memory`, or `disk` with or without a second word."""
    return _LIFTS.get(resource.partition(" ")[0], f"see why {resource} is short")
