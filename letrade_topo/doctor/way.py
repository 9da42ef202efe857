"""The way to the broker: the name, the port, TLS, and the clock at its end; no login is sent."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from cryptography import x509

from letrade_topo.broker_errors import BrokerUnreachable
from letrade_topo.doctor.checkup import Seen, Verdict
from letrade_topo.management import faults
from letrade_topo.management.endpoint import ManagementEndpoint
from letrade_topo.management.transport import tls_context

CONNECT_SECONDS = 10.0
SOON_DAYS = 14
"""A certificate that ends within so many days deserves a look."""
_TICK_SECONDS = 1.0
"""Of the header `Date`, which has whole seconds."""


@dataclass(frozen=True, slots=True)
class ManagementServer:
    """Where the management API is.

    Args:
        endpoint: as it will be called.
    """

    endpoint: ManagementEndpoint

    @property
    def host(self) -> str:
        """The host, without the brackets of an IPv6 address."""
        return urlsplit(self.endpoint.url).hostname or ""

    @property
    def port(self) -> int:
        """The port."""
        return urlsplit(self.endpoint.url).port or (443 if self.endpoint.is_tls else 80)

    def look_up(self) -> Seen:
        """Which addresses the host has here."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            raise BrokerUnreachable(
                f"the host name {self.host!r} is unknown here",
                why=str(error),
                fix="check the name in --management, and DNS: `getent hosts NAME` on this machine",
            ) from None
        return Seen(", ".join(dict.fromkeys(str(one[4][0]) for one in found)))

    def connect(self) -> Seen:
        """Whether something listens."""
        began = time.monotonic()
        with self._connection():
            return Seen(f"{self.endpoint.host_and_port} accepts a connection, {_ms(time.monotonic() - began)}")

    def shake_hands(self, now: datetime) -> Seen:
        """What TLS both sides agree on, and whether the certificate holds."""
        if not self.endpoint.is_tls:
            return Seen("plain http on this machine, as --insecure-loopback allows")
        context = tls_context(self.endpoint)
        try:
            with self._connection() as plain, context.wrap_socket(plain, server_hostname=self.host) as secure:
                certificate = x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"")
                version = secure.version() or "TLS"
        except ssl.SSLError as error:
            refused = faults.tls_refused(error, self.endpoint)
            shown = self._shown()
            return Seen(
                refused.what,
                Verdict.FAILED,
                refused.fix,
                f"{refused.why}; {shown}" if shown else refused.why,
                type(refused).__name__,
            )
        except OSError as error:
            raise BrokerUnreachable(
                f"{self.endpoint.host_and_port} ends the connection while TLS is agreed on",
                why=str(error),
                fix="check that this is the port of the management plugin (usually 15671), and what lies in between",
            ) from None
        days = (certificate.not_valid_after_utc - now).days
        seen = f"{version}, {_described(certificate)}"
        if days < SOON_DAYS:
            return Seen(seen, Verdict.WARNING, "renew the broker's certificate", f"it ends in {days} days")
        return Seen(seen)

    def compare_clocks(self, tolerated_seconds: float) -> Seen:
        """What time it is there.

        Args:
            tolerated_seconds: the difference that messages tolerate.
        """
        try:
            date, began, ended = self._date()
        except (OSError, http.client.HTTPException) as error:
            raise BrokerUnreachable(
                f"{self.endpoint.host_and_port} does not answer over HTTP",
                why=str(error) or type(error).__name__,
                fix="give the port of the management plugin (usually 15671), not one of AMQP (5671, 5672)",
            ) from None
        try:
            there = parsedate_to_datetime(date or "").timestamp()
        except ValueError:
            return Seen("its answers have no header `Date`", Verdict.WARNING, "compare the clocks by hand")
        behind = (began + ended) / 2 - (there + _TICK_SECONDS / 2)
        if abs(behind) <= tolerated_seconds + _TICK_SECONDS + (ended - began):
            return Seen(f"{abs(behind):.0f} s apart")
        direction = "behind" if behind > 0 else "ahead of"
        return Seen(
            f"the broker's clock is {_amount(abs(behind))} {direction} the clock of this machine",
            Verdict.FAILED,
            "set both clocks by NTP (`timedatectl set-ntp true`); which of them is wrong says `date -u` on each",
            f"there it is {_time_of_day(there)}, here {_time_of_day(ended)}",
            "ClocksDiffer",
        )

    def _connection(self) -> socket.socket:
        try:
            return socket.create_connection((self.host, self.port), timeout=CONNECT_SECONDS)
        except ConnectionRefusedError:
            raise BrokerUnreachable(
                f"nothing listens at {self.endpoint.host_and_port}",
                why="the connection was refused",
                fix="check the port in --management, that the broker runs, and that its management plugin is enabled:"
                " `rabbitmq-plugins enable rabbitmq_management`",
            ) from None
        except OSError as error:
            raise BrokerUnreachable(
                f"{self.endpoint.host_and_port} does not answer",
                why=str(error) or type(error).__name__,
                fix="check firewalls and routes between here and there",
            ) from None

    def _shown(self) -> str:
        """The certificate that was not believed; nothing is said to who shows it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with self._connection() as plain, context.wrap_socket(plain, server_hostname=self.host) as secure:
                shown = secure.getpeercert(binary_form=True)
            return f"it shows one {_described(x509.load_der_x509_certificate(shown))}" if shown else ""
        except (OSError, ValueError, BrokerUnreachable):
            return ""

    def _date(self) -> tuple[str | None, float, float]:
        prefix = urlsplit(self.endpoint.url).path
        connection = (
            http.client.HTTPSConnection(
                self.host, self.port, timeout=CONNECT_SECONDS, context=tls_context(self.endpoint)
            )
            if self.endpoint.is_tls
            else http.client.HTTPConnection(self.host, self.port, timeout=CONNECT_SECONDS)
        )
        try:
            connection.connect()
            began = time.time()
            connection.request("GET", f"{prefix}/api/whoami")
            answer = connection.getresponse()
            ended = time.time()
            return answer.getheader("Date"), began, ended
        finally:
            connection.close()


def _described(certificate: x509.Certificate) -> str:
    names = _names(certificate)
    issuer = certificate.issuer.rfc4514_string()
    return f"for {', '.join(names) or 'no name'}, until {certificate.not_valid_after_utc:%Y-%m-%d}, signed by {issuer}"


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses: Iterable[object] = extension.get_values_for_type(x509.IPAddress)
    return [*extension.get_values_for_type(x509.DNSName), *map(str, addresses)]


def _time_of_day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S} UTC"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _amount(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"
