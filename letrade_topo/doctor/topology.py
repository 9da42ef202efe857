"""What a topology needs of its broker: its vhost, our rights in it, plug-ins, leaders, its record, its lock."""

from __future__ import annotations

from dataclasses import dataclass

from letrade_topo.broker.capabilities import for_version
from letrade_topo.doctor.checkup import Checkup, Seen, Verdict
from letrade_topo.management import parsing
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import NotFound
from letrade_topo.model import names
from letrade_topo.model.parameters import PARAMETER_PLUGINS
from letrade_topo.model.topology import Topology
from letrade_topo.plan.findings import PLAIN_PROTOCOLS
from letrade_topo.plan.ownership import OwnershipRecord

_CERTIFICATE_LOGINS = "rabbitmq_auth_mechanism_ssl"
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class TopologyChecks:
    """Checks of one topology on its broker.

    Args:
        client: to the broker, as an administrator.
        topology: the topology.
        file: as it is called.
    """

    client: ManagementClient
    topology: Topology
    file: str

    def make(self, checkup: Checkup) -> None:
        """Make all of them."""
        needs = ("tag", "paths", "file")
        vhost = f"vhost {self.topology.vhost!r}"
        checkup.check("vhost", f"{vhost} is there", self._vhost, needs=needs)
        checkup.check("permissions", f"configure, write and read everything in {vhost}", self._rights, needs=("vhost",))
        checkup.check("plugins", "those that the topology needs are enabled", self._plugins, needs=needs)
        checkup.check("listeners", self._listeners_right(), self._listeners, needs=needs)
        checkup.check("leaders", "every quorum queue has one", self._leaders, needs=("vhost", "version"))
        checkup.check("ownership", "a record that this version can read", self._record, needs=needs)
        checkup.check("lock", "free, or held by a run that is under way", self._lock, needs=("vhost",))

    def _vhost(self) -> Seen:
        if self.client.has_vhost(self.topology.vhost):
            return Seen(f"{self.topology.vhost!r} is there")
        return Seen(
            f"there is no vhost {self.topology.vhost!r} on the broker",
            Verdict.FAILED,
            f"make what the topology declares: `letrade-topo apply {self.file}`",
            "nothing of this topology has been applied here, or somebody has deleted it",
            "VhostMissing",
        )

    def _rights(self) -> Seen:
        user = self.client.whoami().name
        found = next((one for one in self.client.permissions(self.topology.vhost) if one.get("user") == user), None)
        rights = {key: str((found or {}).get(key, "")) for key in ("configure", "write", "read")}
        if all(expression == ".*" for expression in rights.values()):
            return Seen(f"{user} has all of them")
        fix = f"grant them: `rabbitmqctl set_permissions -p {self.topology.vhost} {user} .* .* .*`"
        if found is None:
            what = f"user {user!r} has no permission in vhost {self.topology.vhost!r}"
            why = "without one the broker refuses to declare queues and exchanges, also to an administrator"
            return Seen(what, Verdict.FAILED, fix, why, "MissingRight")
        has = ", ".join(f"{key} {expression!r}" for key, expression in rights.items())
        what = f"user {user!r} may not do everything in vhost {self.topology.vhost!r}"
        return Seen(what, Verdict.WARNING, fix, f"it has {has}")

    def _plugins(self) -> Seen:
        wanted = {
            PARAMETER_PLUGINS[one.component] for one in self.topology.parameters if one.component in PARAMETER_PLUGINS
        }
        if self.topology.security.tls.client_certificates:
            wanted.add(_CERTIFICATE_LOGINS)
        enabled = parsing.plugins(self.client.nodes())
        if enabled is None:
            return Seen("the broker does not say which; one that has just started does not know yet")
        missing = sorted(wanted - enabled)
        if missing:
            return Seen(
                f"plug-ins that the topology needs are not enabled: {', '.join(missing)}",
                Verdict.FAILED,
                f"enable them: `rabbitmq-plugins enable {' '.join(missing)}`",
                kind="PluginMissing",
            )
        return Seen(", ".join(sorted(wanted)) or "none is needed")

    def _listeners_right(self) -> str:
        return "none in plain text" if self.topology.security.tls.required else "any: the topology does not require TLS"

    def _listeners(self) -> Seen:
        listeners = list(parsing.listeners(self.client.overview().get("listeners") or ()))
        plain = [one for one in listeners if one.protocol in PLAIN_PROTOCOLS]
        if plain and self.topology.security.tls.required:
            places = ", ".join(f"{one.protocol} on port {one.port}" for one in plain)
            return Seen(
                f"the broker listens in plain text: {places}",
                Verdict.WARNING,
                "set `listeners.tcp = none` (or the plug-in's equivalent) in rabbitmq.conf",
                "the topology requires TLS, so drift tells of it",
            )
        return Seen(", ".join(f"{one.protocol} {one.port}" for one in listeners) or "the broker does not say")

    def _leaders(self) -> Seen:
        if not for_version(str(self.client.overview().get("rabbitmq_version"))).leaders_checked:
            return Seen("not told by this version of RabbitMQ")
        lost = [str(one.get("name")) for one in self.client.leaderless_queues(self.topology.vhost)]
        if not lost:
            return Seen("all have one")
        shown = ", ".join(lost[:_MOST_NAMED]) + (" …" if len(lost) > _MOST_NAMED else "")
        return Seen(
            f"{len(lost)} quorum queues have no leader: {shown}",
            Verdict.FAILED,
            "bring back the nodes that hold their members",
            kind="LeaderMissing",
        )

    def _record(self) -> Seen:
        name = names.ownership_record(self.topology.name, self.topology.vhost)
        try:
            record = OwnershipRecord.parse(name, self.client.global_parameter(name))
        except NotFound:
            return Seen("none: this topology has not been applied here")
        if record.pending:
            return Seen(
                f"a run ended half-way: {len(record.pending)} objects were about to be made",
                Verdict.WARNING,
                f"run it again: `letrade-topo apply {self.file}`; if one is under way, wait for it",
            )
        return Seen(f"{len(record.owned)} objects, after {record.generation} runs, by {', '.join(record.operators)}")

    def _lock(self) -> Seen:
        wanted = names.lock_queue(self.topology.name)
        found = next((one for one in self.client.queues(self.topology.vhost) if one.get("name") == wanted), None)
        if found is None:
            return Seen("free")
        arguments = found.get("arguments") or {}
        lease = int(arguments.get("x-expires", 0)) / 1000
        return Seen(
            f"another run of topology {self.topology.name!r} holds the lock",
            Verdict.FAILED,
            f"wait until it ends; of a run that has died, the broker frees it {lease:g} s after its last sign of life",
            f"queue {wanted!r} in vhost {self.topology.vhost!r}, holder {arguments.get('x-max-length', 'unknown')}",
            "LockHeld",
        )
