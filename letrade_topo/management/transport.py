"""Sending a call and getting an answer or an error of ours: TLS, pool, time-outs, repetition.

Knows no path and no kind of object. Any number of threads may use one transport.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from urllib3.util.ssl_ import create_urllib3_context

from letrade_topo.broker_errors import InvalidEndpoint
from letrade_topo.management import faults, paths, refusals
from letrade_topo.management.answers import Answer
from letrade_topo.management.calls import Call, encoded
from letrade_topo.management.endpoint import ManagementEndpoint
from letrade_topo.management.errors import NoManagementApi
from letrade_topo.reading import CannotRead
from letrade_topo.tls_files import load_authorities

CONNECT_TIMEOUT_SECONDS = 10.0
"""A broker that is there answers a connection within a round trip; 10 s spans three lost packets."""

ATTEMPTS = 3
FIRST_PAUSE_SECONDS = 0.2
"""Before the second attempt; doubled before the third."""

_PASSING = frozenset({500, 502, 503, 504})
"""Statuses after which the same call may succeed: a node that stops or starts, a proxy before it."""

_MISSING_LISTENER = 503
"""What the health check of a protocol answers that nothing listens for."""

_WHOAMI = Call("GET", "/whoami", "say who is logged in")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request that was sent.

    Args:
        method: of the call.
        path: behind `/api`; names are in it, and never a password.
        status: of the answer; None: there was none.
        seconds: how long it took.
    """

    method: str
    path: str
    status: int | None
    seconds: float


Observer: TypeAlias = Callable[[HttpRequest], None]
"""Told of every HTTP request, from the thread that sent it."""


def unobserved(request: HttpRequest) -> None:
    """Nobody is told."""


class Transport:
    """HTTP to one endpoint, with one login.

    Args:
        endpoint: whom to call, and as whom.
        timeout_seconds: how long to wait for the next bytes of an answer.
        pool_size: connections that are kept open; more threads than that wait for one.
        observe: told of every request, from the thread that sends it.

    Raises:
        InvalidEndpoint: the CA file cannot be read.
    """

    def __init__(
        self, endpoint: ManagementEndpoint, *, timeout_seconds: float, pool_size: int, observe: Observer = unobserved
    ) -> None:
        self.endpoint = endpoint
        self.observe = observe
        self.calls = 0
        self._counting = threading.Lock()
        self._timeout = (CONNECT_TIMEOUT_SECONDS, timeout_seconds)
        self._session = _session(endpoint, pool_size)
        self._caller: refusals.Caller | None = None
        self._paths_checked = False

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, call: Call) -> Answer:
        """Send a call and return the answer, if it says yes.

        Raises:
            BrokerError: of the kind that says why there is none.
        """
        answer = self._exchange(call)
        foreign = None if answer.status in call.answers else refusals.no_management_api(answer, self.endpoint)
        if foreign is not None:
            raise foreign
        if answer.status < 400 or answer.status in call.answers:
            return answer
        if call.path == _WHOAMI.path:
            raise refusals.login_refusal(answer, self.endpoint)
        raise refusals.refusal(answer, call, self.whoami() if answer.status in {401, 403, 404} else _NOBODY)

    def fetch(self, call: Call) -> Any:
        """Send a call whose answer is JSON, and return that.

        Raises:
            BrokerError: as `send`; NoManagementApi also when it is not JSON after all.
        """
        answer = self.send(call)
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError):
            raise NoManagementApi(
                f"what answers at {self.endpoint.url} is not RabbitMQ's management API",
                why=f"it answered HTTP {answer.status} with something that is not JSON, when asked to {call.doing}",
            ) from None

    def check_paths(self) -> None:
        """Make sure that paths reach the broker as they are sent; asked once.

        Raises:
            PathsRewritten: they do not.
            BrokerError: there was no answer.
        """
        if self._paths_checked:
            return
        answer = self._exchange(paths.probe())
        wrong = paths.rewritten(answer, self.endpoint)
        if wrong is None and answer.status != _MISSING_LISTENER:
            wrong = paths.differs(answer, self._exchange(paths.plain_probe()), self.endpoint)
        if wrong is not None:
            raise wrong
        self._paths_checked = True

    def whoami(self) -> refusals.Caller:
        """As whom the broker knows us; asked once.

        Raises:
            LoginRefused, MissingRight, NoManagementApi: see `refusals.login_refusal`.
        """
        if self._caller is None:
            found = self.fetch(_WHOAMI)
            if not isinstance(found, dict) or "name" not in found:
                raise NoManagementApi(f"what answers at {self.endpoint.url} does not say who is logged in")
            self._caller = refusals.Caller(found["name"], tags(found.get("tags")))
        return self._caller

    def _exchange(self, call: Call) -> Answer:
        pause = FIRST_PAUSE_SECONDS
        for attempt in range(1, ATTEMPTS + 1):
            with self._counting:
                self.calls += 1
            began = time.monotonic()
            try:
                answer = self._once(self._prepare(call))
            except faults.FOREIGN as error:
                self.observe(HttpRequest(call.method, call.path, None, time.monotonic() - began))
                if attempt == ATTEMPTS or not faults.is_worth_repeating(error):
                    raise faults.explain(error, self.endpoint, call, attempt) from error
            else:
                self.observe(HttpRequest(call.method, call.path, answer.status, time.monotonic() - began))
                if attempt == ATTEMPTS or answer.status not in _PASSING - call.answers:
                    return answer
            # urllib3's Retry would do this too, but cannot tell a broken connection from a time-out.
            time.sleep(pause)
            pause *= 2
        raise AssertionError("the last attempt returns or raises")

    def _prepare(self, call: Call) -> requests.PreparedRequest:
        body = None
        headers = {"If-None-Match": call.unless_tag, "Cache-Control": "no-cache"} if call.unless_tag else {}
        if call.reason:
            headers["X-Reason"] = call.reason
        if call.body is not None:
            body = encoded(call.body)
            headers["Content-Type"] = "application/json"
        url = f"{self.endpoint.url}/api{call.path}"
        return self._session.prepare_request(requests.Request(call.method, url, data=body, headers=headers))

    def _once(self, request: requests.PreparedRequest) -> Answer:
        response = self._session.send(
            request,
            timeout=self._timeout,
            # A redirect leads to something that is not this API; nor shall it get what we sent.
            allow_redirects=False,
        )
        headers = response.headers
        return Answer(
            response.status_code,
            headers.get("Content-Type", ""),
            response.content,
            headers.get("Location", ""),
            headers.get("ETag", ""),
        )


def tags(value: Any) -> tuple[str, ...]:
    """Management tags, sorted, from a list or (before 3.9, and from old definitions) comma-separated text."""
    parts = value.split(",") if isinstance(value, str) else (value or ())
    return tuple(sorted(part.strip() for part in parts if part.strip()))


_NOBODY = refusals.Caller("", ())


class _TlsAdapter(HTTPAdapter):
    """HTTPS in which a context of ours alone decides whom to trust."""

    def __init__(self, context: ssl.SSLContext, **pool: Any) -> None:
        self._context = context
        super().__init__(**pool)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Not requests' own, which adds the authorities that it brings along (certifi)."""
        conn.cert_reqs = "CERT_REQUIRED"


def _session(endpoint: ManagementEndpoint, pool_size: int) -> requests.Session:
    context = tls_context(endpoint)
    session = requests.Session()
    # REQUESTS_CA_BUNDLE, ~/.netrc and proxies of the environment must not change whom we trust, as
    # whom we log in, or who reads along.
    session.trust_env = False
    # As bytes: for text, requests would use Latin-1, and RabbitMQ expects UTF-8.
    session.auth = HTTPBasicAuth(endpoint.username.encode(), endpoint.password.encode())
    session.mount("https://", _TlsAdapter(context, pool_connections=1, pool_maxsize=pool_size, pool_block=True))
    session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=pool_size, pool_block=True))
    return session


def tls_context(endpoint: ManagementEndpoint) -> ssl.SSLContext:
    """TLS 1.2 at least, whatever the system's OpenSSL would still accept; its authorities, or those of the CA file.

    Raises:
        InvalidEndpoint: the CA file cannot be used.
    """
    context = create_urllib3_context(ssl_minimum_version=ssl.TLSVersion.TLSv1_2)
    if endpoint.ca_file is None:
        context.load_default_certs()
        return context
    try:
        load_authorities(context, endpoint.ca_file)
    except CannotRead as error:
        raise InvalidEndpoint(error.what, why=error.why, fix=error.fix) from None
    except OSError as error:
        reason = "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
        raise InvalidEndpoint(
            f"the CA file {endpoint.ca_file} cannot be used",
            why=reason or str(error),
            fix="give a PEM file with the certificate of the authority that signed the broker's, with --ca-file",
        ) from None
    return context
