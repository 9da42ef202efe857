"""From definitions to the files that an export writes: values and texts, nothing is read or written here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from letrade_topo.broker.capabilities import NEWEST, UnsupportedVersion, for_version
from letrade_topo.broker.objects import (
    Address,
    Binding,
    BrokerObject,
    Exchange,
    GlobalParameter,
    OperatorPolicy,
    Parameter,
    Permission,
    Policy,
    TopicPermission,
    User,
    UserLimit,
)
from letrade_topo.broker.passwords import HASHING_ALGORITHM, hash_password
from letrade_topo.broker.state import BrokerInfo, LiveState
from letrade_topo.expand.expansion import expand
from letrade_topo.export.adopting import Adopted, adopt, topology_names
from letrade_topo.export.definitions import DefinedVhost, Definitions
from letrade_topo.export.definitions_text import definitions_text
from letrade_topo.export.grouping import grouped
from letrade_topo.export.logins import Logins
from letrade_topo.export.remarks import remarks_of, remarks_on_age, remarks_on_vhosts
from letrade_topo.export.secret_files import SecretFiles, with_addresses
from letrade_topo.export.selection import selected
from letrade_topo.export.topology_text import topology_text
from letrade_topo.model.rules import Severity, broken_rules
from letrade_topo.model.security import SecretReference, SecretSource
from letrade_topo.model.topology import Topology
from letrade_topo.plan.parameters import settle_parameters
from letrade_topo.plan.passwords import settle_passwords


@dataclass(frozen=True, slots=True)
class Exported:
    """A vhost as it is written.

    Args:
        topology: of the vhost.
        text: of its file.
        secrets: what is written to files of their own, by their paths below the folder of the topology.
        unsaid: what a topology cannot say, in words.
        errors: how many of the remarks are errors: a topology with them is not planned.
        users: as the broker has them.
        has_secrets: they lie in `secrets`; otherwise nothing of the export holds one.
    """

    topology: Topology
    text: str
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    unsaid: tuple[str, ...] = ()
    errors: int = 0
    users: tuple[User | UserLimit, ...] = field(default=(), repr=False)
    has_secrets: bool = True


def export_vhosts(
    found: Definitions,
    *,
    vhosts: Sequence[str],
    only: Sequence[str] = (),
    without: Collection[str] = (),
    has_secrets: bool = True,
    source: str = "",
) -> tuple[Exported, ...]:
    """Make the topologies of some vhosts.

    A user is declared in each vhost where it has rights, and in the first one if it has none anywhere; so are the
    parameters of the whole cluster.

    Args:
        found: what is on the broker.
        vhosts: which of them, in this order.
        only: globs of addresses; without any, all objects.
        without: `users`, `policies`, `bindings`, `parameters`.
        has_secrets: hashes go to files of their own; else there is an environment variable to fill.
        source: where all this comes from, for the first line.
    """
    names = topology_names(found.vhosts[vhost] for vhost in vhosts)
    secrets = SecretFiles(are_written=has_secrets)
    homes = {
        one.name: vhost.name for vhost in found.vhosts.values() for one in vhost.objects if isinstance(one, Exchange)
    }
    return tuple(
        _export(
            _reduced(selected(found.vhosts[vhost], only), without),
            Logins(_users_of(vhost, found, vhosts) if "users" not in without and not only else (), found.passwords),
            names[vhost],
            found.global_parameters if vhost == vhosts[0] and not only and "parameters" not in without else (),
            secrets,
            homes,
            source=source,
        )
        for vhost in vhosts
    )


def made_of(
    topologies: Iterable[Topology],
    secrets: Mapping[SecretReference, str] | None,
    make_salt: Callable[[], bytes],
    version: str,
) -> str:
    """What `apply` would make of topologies, as a definitions file.

    Args:
        topologies: that agree; what two of them declare is there once.
        secrets: what its references resolve to; None leaves out whatever is secret, and nobody can log in.
        make_salt: four random bytes.
        version: of the RabbitMQ that shall import it.

    Raises:
        UnusableHash: what a `password_hash` leads to is none.
    """
    vhosts: dict[str, dict[Address, BrokerObject]] = {}
    for topology in topologies:
        desired = expand(topology, for_version(version))
        if secrets is not None:
            nothing = LiveState(BrokerInfo(version, "", ""), topology.vhost)
            desired = settle_parameters(settle_passwords(desired, nothing, secrets, make_salt), secrets)
        things = (one.object for one in desired.objects.values())
        made = (thing if secrets is not None else _without_secrets(thing) for thing in things)
        vhosts.setdefault(topology.vhost, {}).update((thing.address, thing) for thing in made)
    return definitions_text({vhost: things.values() for vhost, things in vhosts.items()}, version)


def _without_secrets(thing: BrokerObject) -> BrokerObject:
    return thing.blanked() if isinstance(thing, Parameter) else thing


def as_definitions(exported: Iterable[Exported], version: str, make_salt: Callable[[], bytes]) -> str:
    """The same as a definitions file that RabbitMQ imports.

    Args:
        exported: the vhosts.
        version: of the RabbitMQ that they come from.
        make_salt: four random bytes, for a password that the file had in plain text.
    """
    try:
        capabilities = for_version(version)
    except UnsupportedVersion:  # a file of an older broker, or one that does not say; nothing is derived in any case
        capabilities = for_version(NEWEST)
    vhosts: dict[str, list[BrokerObject]] = {}
    for one in exported:
        live = {user.name: user for user in one.users if isinstance(user, User)}
        things = (each.object for each in expand(one.topology, capabilities).objects.values())
        secrets = {
            SecretReference(SecretSource.FILE, file): text.removesuffix("\n") for file, text in one.secrets.items()
        }
        vhosts[one.topology.vhost] = [
            _as_it_was(thing, live, secrets, make_salt) if one.has_secrets else _without_secrets(thing)
            for thing in things
        ]
    return definitions_text(vhosts, version)


def _as_it_was(
    thing: BrokerObject,
    users: Mapping[str, User],
    secrets: Mapping[SecretReference, str],
    make_salt: Callable[[], bytes],
) -> BrokerObject:
    match thing:
        case User(password=SecretReference() as reference, is_hash=False):
            hashed = hash_password(secrets[reference], make_salt())
            return replace(thing, password_hash=hashed, hashing_algorithm=HASHING_ALGORITHM)
        case User(name=name):
            return users.get(name, thing)
        case Parameter():
            return thing.filled(secrets)
        case _:
            return thing


def _reduced(vhost: DefinedVhost, without: Collection[str]) -> DefinedVhost:
    kinds: list[type[BrokerObject]] = []
    kinds += [Permission, TopicPermission] if "users" in without else []
    kinds += [Policy, OperatorPolicy] if "policies" in without else []
    kinds += [Parameter] if "parameters" in without else []
    kinds += [Binding] if "bindings" in without else []
    return replace(vhost, objects=tuple(one for one in vhost.objects if not isinstance(one, tuple(kinds))))


def _users_of(vhost: str, found: Definitions, vhosts: Sequence[str]) -> tuple[User | UserLimit, ...]:
    here = found.vhosts[vhost].users
    anywhere = frozenset().union(*(one.users for one in found.vhosts.values()))
    is_first = vhost == vhosts[0]

    def belongs(name: str) -> bool:
        return name in here or (is_first and name not in anywhere)

    return tuple(one for one in found.users if belongs(one.name if isinstance(one, User) else one.user))


def _export(
    vhost: DefinedVhost,
    logins: Logins,
    name: str,
    of_cluster: Iterable[GlobalParameter],
    secrets: SecretFiles,
    homes: Mapping[str, str],
    *,
    source: str,
) -> Exported:
    adopted = adopt(vhost, logins.users, name)
    topology = replace(
        adopted.topology,
        global_parameters={one.name: one.value for one in of_cluster},
        users={user.name: logins.with_password(user, secrets) for user in adopted.topology.users.values()},
        parameters=tuple(with_addresses(one, secrets) for one in adopted.topology.parameters),
    )
    topology = grouped(topology)
    problems = list(broken_rules(topology))
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    remarks = remarks_of(
        problems, logins.remarks(secrets), remarks_on_age(topology), remarks_on_vhosts(topology, homes)
    )
    text = topology_text(topology, header=_header(vhost, adopted, source), remarks=remarks)
    return Exported(topology, text, secrets.files, adopted.unsaid, errors, logins.users, secrets.are_written)


def _header(vhost: DefinedVhost, adopted: Adopted, source: str) -> Iterator[str]:
    yield f"The vhost {vhost.name!r} of {source}, as `letrade-topo export` found it." if source else "As it was found."
    if adopted.unsaid:
        yield "Not in this file, because a topology has no word for it:"
        yield from (f"  {one}" for one in adopted.unsaid)
