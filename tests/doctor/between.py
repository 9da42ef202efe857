"""What may lie between the tool and a broker: a server with any certificate, which forwards and changes on the way."""

from __future__ import annotations

import datetime
import http.client
import ipaddress
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import format_datetime, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from letrade_topo.tls_files import trusting
from tests.brokers import RunningBroker

DAY = datetime.timedelta(days=1)


def now() -> datetime.datetime:
    """This moment."""
    return datetime.datetime.now(datetime.UTC)


def name(common_name: str) -> x509.Name:
    """A name with nothing but a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def certificate(
    broker: RunningBroker, folder: Path, host: str = "127.0.0.1", ends_in: datetime.timedelta = DAY * 30
) -> Path:
    """One of the broker's authority, with its key, in one file.

    Args:
        broker: whose authority signs.
        folder: where it is written.
        host: a name or an address that it is for.
        ends_in: when; a negative time has passed.
    """
    authority = broker.node.certificates.authority
    issuer = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    signer = serialization.load_pem_private_key(authority.key.read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        names: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        names = x509.DNSName(host)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name(host))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - DAY * 60)
        .not_valid_after(now() + ends_in)
        .add_extension(x509.SubjectAlternativeName([names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    path = folder / f"{host}-{ends_in.days}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


@dataclass(frozen=True, slots=True)
class Changes:
    """What happens on the way.

    Args:
        path: makes another path of a request's.
        clock: how far the answers' clock is ahead.
        redirects: whether every answer leads to a login page instead.
    """

    path: Callable[[str], str] = str
    clock: datetime.timedelta = datetime.timedelta()
    redirects: bool = False


AS_IT_IS = Changes()


@contextmanager
def between(
    broker: RunningBroker,
    shown: Path | None,
    changes: Changes = AS_IT_IS,
    newest_tls: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> Iterator[int]:
    """The port of a server that forwards to a broker's management API; without a certificate in plain text."""
    there = urlsplit(broker.management_url)
    trust = trusting(broker.ca_file)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """Forward."""
            if changes.redirects:
                self.send_response(302)
                self.send_header("Location", "https://login.example.com/")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            onward = http.client.HTTPSConnection(str(there.hostname), there.port, timeout=30, context=trust)
            headers = {key: value for key, value in self.headers.items() if key.lower() != "connection"}
            onward.request("GET", changes.path(self.path), headers=headers)
            answer = onward.getresponse()
            body = answer.read()
            self.send_response_only(answer.status)
            for key, value in answer.getheaders():
                if key.lower() == "date":
                    value = format_datetime(parsedate_to_datetime(value) + changes.clock, usegmt=True)
                if key.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            onward.close()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Who gives up on the certificate is meant to."""

    server = Quiet(("127.0.0.1", 0), Handler)
    if shown is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if newest_tls < ssl.TLSVersion.TLSv1_2:
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TLS 1.1 is deprecated, and meant
            context.maximum_version = newest_tls
        context.load_cert_chain(shown)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
