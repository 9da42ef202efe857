"""Sending a call and getting an answer or an error of ours: TLS, pool, time-outs, repetition.

Knows no path and no kind of object. Any number of threads may use one transport.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, Self, TypeAlias

import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from urllib3.util.ssl_ import create_urllib3_context

from letrade_topo.management import faults, refusals
from letrade_topo.management.answers import Answer
from letrade_topo.management.calls import Call
from letrade_topo.management.endpoint import Endpoint
from letrade_topo.management.errors import InvalidEndpoint, NoManagementApi

CONNECT_TIMEOUT_SECONDS = 10.0
"""A broker that is there answers a connection within a round trip; 10 s spans three lost packets."""

ATTEMPTS = 3
FIRST_PAUSE_SECONDS = 0.2
"""Before the second attempt; doubled before the third."""

_PASSING = frozenset({500, 502, 503, 504})
"""Statuses after which the same call may succeed: a node that stops or starts, a proxy before it."""

_WHOAMI = Call("GET", "/whoami", "say who is logged in")


Observer: TypeAlias = Callable[[str, int | None, float], None]
"""Told of every HTTP request: its method, the status of the answer or None, and how long it took in seconds."""


def unobserved(method: str, status: int | None, seconds: float) -> None:
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
        self, endpoint: Endpoint, *, timeout_seconds: float, pool_size: int, observe: Observer = unobserved
    ) -> None:
        self.endpoint = endpoint
        self.observe = observe
        self.calls = 0
        self._counting = threading.Lock()
        self._timeout = (CONNECT_TIMEOUT_SECONDS, timeout_seconds)
        self._session = _session(endpoint, pool_size)
        self._caller: refusals.Caller | None = None

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
            ManagementError: of the kind that says why there is none.
        """
        answer = self._exchange(call)
        foreign = refusals.no_management_api(answer, self.endpoint)
        if foreign is not None:
            raise foreign
        if answer.status < 400:
            return answer
        if call.path == _WHOAMI.path:
            raise refusals.login_refusal(answer, self.endpoint)
        raise refusals.refusal(answer, call, self.whoami() if answer.status in {401, 403} else _NOBODY)

    def fetch(self, call: Call) -> Any:
        """Send a call whose answer is JSON, and return that.

        Raises:
            ManagementError: as `send`; NoManagementApi also when it is not JSON after all.
        """
        answer = self.send(call)
        try:
            return json.loads(answer.body)
        except ValueError:
            raise NoManagementApi(
                f"what answers at {self.endpoint.url} is not RabbitMQ's management API",
                why=f"it answered HTTP {answer.status} with something that is not JSON, when asked to {call.doing}",
            ) from None

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
        request = self._prepare(call)
        pause = FIRST_PAUSE_SECONDS
        for attempt in range(1, ATTEMPTS + 1):
            with self._counting:
                self.calls += 1
            began = time.monotonic()
            try:
                answer = self._once(request)
            except requests.RequestException as error:
                self.observe(call.method, None, time.monotonic() - began)
                if attempt == ATTEMPTS or not faults.is_worth_repeating(error):
                    raise faults.explain(error, self.endpoint, call, attempt) from error
            else:
                self.observe(call.method, answer.status, time.monotonic() - began)
                if attempt == ATTEMPTS or answer.status not in _PASSING:
                    return answer
            # urllib3's Retry would do this too, but cannot tell a broken connection from a time-out.
            time.sleep(pause)
            pause *= 2
        raise AssertionError("the last attempt returns or raises")

    def _prepare(self, call: Call) -> requests.PreparedRequest:
        body, headers = None, {}
        if call.body is not None:
            body = json.dumps(call.body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
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
            response.status_code, headers.get("Content-Type", ""), response.content, headers.get("Location", "")
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


def _session(endpoint: Endpoint, pool_size: int) -> requests.Session:
    context = _context(endpoint)
    session = requests.Session()
    # REQUESTS_CA_BUNDLE, ~/.netrc and proxies of the environment must not change whom we trust, as
    # whom we log in, or who reads along.
    session.trust_env = False
    # As bytes: for text, requests would use Latin-1, and RabbitMQ expects UTF-8.
    session.auth = HTTPBasicAuth(endpoint.username.encode(), endpoint.password.encode())
    session.mount("https://", _TlsAdapter(context, pool_connections=1, pool_maxsize=pool_size, pool_block=True))
    session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=pool_size, pool_block=True))
    return session


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    """TLS 1.2 at least, whatever the system's OpenSSL would still accept; its authorities, or those of the CA file."""
    context = create_urllib3_context(ssl_minimum_version=ssl.TLSVersion.TLSv1_2)
    if endpoint.ca_file is None:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(endpoint.ca_file)
    except OSError as error:
        reason = "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
        raise InvalidEndpoint(
            f"the CA file {endpoint.ca_file} cannot be used",
            why=reason or str(error),
            fix="give a PEM file with the certificate of the authority that signed the broker's, with --ca-file",
        ) from None
    return context
