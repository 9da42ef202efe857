"""A set-up in which nothing is wrong, and what breaks it: thirty-odd cases, each of which can be put right again."""

from __future__ import annotations

import datetime
import re
import ssl
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from letrade_topo.apply.lock import BrokerLock
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.endpoint import ManagementEndpoint
from letrade_topo.model import names
from tests.brokers import RunningBroker
from tests.doctor.between import DAY, Changes, between, certificate
from tests.ports import free_ports
from tests.topologies import Document, orders, write

_COMMAND = re.compile(r"`((?:rabbitmq|letrade-topo)[^`]*)`")


@dataclass
class SetUp:
    """A topology on a broker, with nothing wrong, and whatever a case breaks of it.

    Args:
        broker: a real one.
        folder: with `topology.yaml`.
        name: of the topology and its vhost.
        variables: of the environment.
        run: runs the tool and returns its exit code and what it printed.
        fix: what doctor has said to do.
    """

    broker: RunningBroker
    folder: Path
    name: str
    variables: dict[str, str]
    run: Callable[..., tuple[int, str]]
    fix: str = ""

    @property
    def file(self) -> Path:
        """The topology."""
        return self.folder / "topology.yaml"

    def write(self, **sections: Any) -> None:
        """The topology with other sections."""
        write(self.file, self.document() | sections)

    def document(self) -> Document:
        """The topology as it is right."""
        return orders(self.name, self.name)

    def point_at(self, port: int, host: str = "127.0.0.1") -> None:
        """Call this port instead of the broker's."""
        self.variables["LETRADE_TOPO_MANAGEMENT"] = f"https://{host}:{port}"

    def point_back(self) -> None:
        """Call the broker itself, as the administrator, with the right files."""
        self.variables |= right(self.broker)

    def be(self, user: str, tags: str) -> None:
        """Be another user of the broker, who has only these tags."""
        self.broker.api("PUT", f"/api/users/{user}", json={"password": "pw", "tags": tags}).raise_for_status()
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        self.broker.api("PUT", f"/api/permissions/{self.name}/{user}", json=rights).raise_for_status()
        self.variables.pop("LETRADE_TOPO_PASSWORD_FILE", None)
        self.variables |= {"LETRADE_TOPO_USERNAME": user, "LETRADE_TOPO_PASSWORD": "pw"}

    def wait_for(self, condition: Callable[[list[str]], bool]) -> None:
        """Wait until the broker has noticed which plug-ins are enabled: it looks every five seconds."""
        end = time.monotonic() + 60
        while not condition(self.broker.api("GET", "/api/nodes").json()[0].get("enabled_plugins") or []):
            assert time.monotonic() < end, "the broker does not notice"
            time.sleep(0.2)

    def follow(self) -> None:
        """Run the commands that the fix names, and nothing else."""
        commands = _COMMAND.findall(self.fix)
        assert commands, self.fix
        for command in commands:
            tool, *arguments = command.split()
            if tool == "letrade-topo":
                assert self.run(*arguments, "--yes")[0] == 0
            else:
                self.broker.ctl(*arguments, tool=tool)


def right(broker: RunningBroker) -> dict[str, str]:
    """The environment in which nothing is wrong."""
    return {
        "LETRADE_TOPO_MANAGEMENT": broker.management_url,
        "LETRADE_TOPO_USERNAME": broker.username,
        "LETRADE_TOPO_PASSWORD_FILE": str(broker.password_file),
        "LETRADE_TOPO_CA_FILE": str(broker.ca_file),
    }


Steps: TypeAlias = Generator[str, None, None]
Break: TypeAlias = Callable[[SetUp], Steps]
"""Breaks, says what the first line has to begin with, and after the next step is right again."""
CASES: list[Break] = []


def case(function: Break) -> Break:
    """One broken set-up."""
    CASES.append(function)
    return function


# the file and its secrets


@case
def file_missing(it: SetUp) -> Steps:
    it.file.unlink()
    yield "file: "
    it.write()


@case
def file_invalid(it: SetUp) -> Steps:
    it.write(queues={"clerk.orders": {"service": "clerk", "messages": ["order.place"]}})
    yield "file: "
    it.write()


@case
def variable_undeclared(it: SetUp) -> Steps:
    it.write(environment="${stage}")
    yield "variables: "
    it.write(environment="${stage}", variables={"stage": "test"})


@case
def secret_unset(it: SetUp) -> Steps:
    it.write(users={f"{it.name}-guest": {"password": {"env": "GUEST_PASSWORD"}}})
    yield "secrets: the environment variable GUEST_PASSWORD"
    it.variables["GUEST_PASSWORD"] = "secret"


@case
def secret_open_to_others(it: SetUp) -> Steps:
    secret = it.folder / "secret"
    secret.write_text("secret")
    secret.chmod(0o644)
    it.write(users={f"{it.name}-guest": {"password": {"file": "secret"}}})
    yield "secrets: cannot read the secret file"
    secret.chmod(0o600)


# where the broker is, and as whom


@case
def user_not_named(it: SetUp) -> Steps:
    del it.variables["LETRADE_TOPO_USERNAME"]
    yield "address: no user name"
    it.point_back()


@case
def password_not_given(it: SetUp) -> Steps:
    del it.variables["LETRADE_TOPO_PASSWORD_FILE"]
    yield "address: no password"
    it.point_back()


@case
def plain_http(it: SetUp) -> Steps:
    it.variables["LETRADE_TOPO_MANAGEMENT"] = it.broker.management_url.replace("https:", "http:")
    yield "address: plain http to 127.0.0.1 is refused"
    it.point_back()


@case
def authorities_missing(it: SetUp) -> Steps:
    it.variables["LETRADE_TOPO_CA_FILE"] = str(it.folder / "gone.pem")
    yield "authorities: "
    it.point_back()


@case
def authorities_unreadable(it: SetUp) -> Steps:
    (it.folder / "ca.pem").write_text("no certificate")
    it.variables["LETRADE_TOPO_CA_FILE"] = str(it.folder / "ca.pem")
    yield "authorities: "
    it.point_back()


# the way there


@case
def host_unknown(it: SetUp) -> Steps:
    it.point_at(15671, "broker.invalid")
    yield "name: the host name 'broker.invalid' is unknown"
    it.point_back()


@case
def port_closed(it: SetUp) -> Steps:
    it.point_at(free_ports(1)[0])
    yield "port: nothing listens at 127.0.0.1:"
    it.point_back()


@case
def port_of_amqp(it: SetUp) -> Steps:
    it.point_at(it.broker.amqps_port)
    yield "plugin: "
    it.point_back()


@case
def authority_of_another(it: SetUp) -> Steps:
    other = certificate(it.broker, it.folder)
    it.variables["LETRADE_TOPO_CA_FILE"] = str(other)
    yield "tls: the certificate of 127.0.0.1:"
    it.point_back()


@case
def certificate_expired(it: SetUp) -> Steps:
    with between(it.broker, certificate(it.broker, it.folder, ends_in=-DAY)) as port:
        it.point_at(port)
        yield "tls: the certificate of 127.0.0.1:"
    with between(it.broker, certificate(it.broker, it.folder)) as port:
        it.point_at(port)
        yield ""


@case
def certificate_ends_soon(it: SetUp) -> Steps:
    with between(it.broker, certificate(it.broker, it.folder, ends_in=DAY * 3)) as port:
        it.point_at(port)
        yield "warning: tls: TLSv1.3, for 127.0.0.1"
    it.point_back()


@case
def certificate_of_another_host(it: SetUp) -> Steps:
    with between(it.broker, certificate(it.broker, it.folder, "broker.example.com")) as port:
        it.point_at(port)
        yield "tls: the certificate of 127.0.0.1:"
    with between(it.broker, certificate(it.broker, it.folder)) as port:
        it.point_at(port)
        yield ""


@case
def tls_too_old(it: SetUp) -> Steps:
    with between(it.broker, certificate(it.broker, it.folder), newest_tls=ssl.TLSVersion.TLSv1_1) as port:
        it.point_at(port)
        yield "tls: no TLS connection with 127.0.0.1:"
    it.point_back()


@case
def no_tls(it: SetUp) -> Steps:
    with between(it.broker, None) as port:
        it.point_at(port)
        yield "tls: 127.0.0.1:"
    it.point_back()


@case
def clock_ten_minutes_behind(it: SetUp) -> Steps:
    clock = Changes(clock=-datetime.timedelta(minutes=10))
    with between(it.broker, certificate(it.broker, it.folder), clock) as port:
        it.point_at(port)
        yield "clock: the broker's clock is 10 minutes behind"
    it.point_back()


@case
def slashes_decoded(it: SetUp) -> Steps:
    decoding = Changes(path=lambda path: path.replace("%2F", "/").replace("%2f", "/"))
    with between(it.broker, certificate(it.broker, it.folder), decoding) as port:
        it.point_at(port)
        yield "paths: something between here and the broker"
    it.point_back()


@case
def login_page_in_between(it: SetUp) -> Steps:
    with between(it.broker, certificate(it.broker, it.folder), Changes(redirects=True)) as port:
        it.point_at(port)
        yield "plugin: what answers at https://127.0.0.1:"
    it.point_back()


@case
def plugin_off(it: SetUp) -> Steps:
    it.broker.ctl("disable", "rabbitmq_management", tool="rabbitmq-plugins")
    yield "port: nothing listens at"
    it.follow()


# who we are there


@case
def password_wrong(it: SetUp) -> Steps:
    del it.variables["LETRADE_TOPO_PASSWORD_FILE"]
    it.variables["LETRADE_TOPO_PASSWORD"] = "wrong"
    yield f"login: the broker refused to log in user '{it.broker.username}'"
    del it.variables["LETRADE_TOPO_PASSWORD"]
    it.point_back()


@case
def tag_missing(it: SetUp) -> Steps:
    it.be(f"{it.name}-eve", "")
    yield f"tag: user '{it.name}-eve' may not use the management API"
    it.broker.ctl("set_user_tags", f"{it.name}-eve", "administrator")


@case
def tag_too_small(it: SetUp) -> Steps:
    it.be(f"{it.name}-mallory", "monitoring")
    yield f"tag: user '{it.name}-mallory' is no administrator"
    it.follow()


# how the broker is


@case
def memory_short(it: SetUp) -> Steps:
    it.broker.ctl("set_vm_memory_high_watermark", "0.00001")
    yield "alarms: the broker is short of memory"
    it.follow()


@case
def disk_limit_full(it: SetUp) -> Steps:
    it.broker.ctl("set_disk_free_limit", "100000GB")
    yield "alarms: the broker is short of disk"
    it.follow()


# what the topology needs there


@case
def vhost_missing(it: SetUp) -> Steps:
    it.broker.api("DELETE", f"/api/vhosts/{it.name}").raise_for_status()
    yield f"vhost: there is no vhost '{it.name}'"
    it.follow()


@case
def no_permission(it: SetUp) -> Steps:
    it.broker.ctl("clear_permissions", "-p", it.name, it.broker.username)
    yield f"permissions: user '{it.broker.username}' has no permission in vhost"
    it.follow()


@case
def plugin_of_certificates_off(it: SetUp) -> Steps:
    plugin = "rabbitmq_auth_mechanism_ssl"
    it.broker.ctl("disable", plugin, tool="rabbitmq-plugins")
    it.wait_for(lambda enabled: plugin not in enabled)
    yield f"plugins: plug-ins that the topology needs are not enabled: {plugin}"
    it.follow()
    it.wait_for(lambda enabled: plugin in enabled)


@case
def plain_listener(it: SetUp) -> Steps:
    port = free_ports(1)[0]
    it.broker.ctl("eval", f'rabbit_networking:start_tcp_listener({{"127.0.0.1", {port}, inet}}, 1).')
    yield "warning: listeners: the broker listens in plain text: amqp on port"
    it.broker.ctl("eval", f'rabbit_networking:stop_tcp_listener({{"127.0.0.1", {port}, inet}}).')


@case
def record_unreadable(it: SetUp) -> Steps:
    name = names.ownership_record(it.name, it.name)
    before = it.broker.api("GET", f"/api/global-parameters/{name}").json()["value"]
    it.broker.api("PUT", f"/api/global-parameters/{name}", json={"name": name, "value": {"format": 99}})
    yield "ownership: "
    it.broker.api("PUT", f"/api/global-parameters/{name}", json={"name": name, "value": before})


@case
def run_ended_half_way(it: SetUp) -> Steps:
    name = names.ownership_record(it.name, it.name)
    record = it.broker.api("GET", f"/api/global-parameters/{name}").json()["value"]
    record["pending"] = ["queue:clerk.more"]
    it.broker.api("PUT", f"/api/global-parameters/{name}", json={"name": name, "value": record})
    yield "warning: ownership: a run ended half-way"
    it.follow()


@case
def locked(it: SetUp) -> Steps:
    endpoint = ManagementEndpoint.parse(
        it.broker.management_url, username=it.broker.username, password=it.broker.password, ca_file=it.broker.ca_file
    )
    with ManagementClient(endpoint) as client, BrokerLock(client, it.name, it.name, 10):
        yield f"lock: another run of topology '{it.name}' holds the lock"
