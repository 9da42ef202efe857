"""What the broker does by itself, to compare with: bulk import and raw reads, by a plain requests session."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from letrade_topo.broker.capabilities import Capabilities
from letrade_topo.expand.desired import DesiredState
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.endpoint import ManagementEndpoint
from letrade_topo.management.reading import LISTINGS_AT_ONCE, read_state
from letrade_topo.node.node import Node
from letrade_topo.node.settings import ADMINISTRATOR, Listener
from letrade_topo.plan.guards import Allowances
from letrade_topo.plan.prepare import PlanRequest, prepare
from letrade_topo.plan.scope import Scope

TIMEOUT_SECONDS = 600
OF_THE_VHOST = ("permissions", "topic_permissions", "policies", "queues", "exchanges", "bindings")


class BrokerSide:
    """The management API of a node, with nothing of ours in between."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.session = self._session()

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Call the API; the JSON of the answer, if it has any."""
        url = f"{self.node.url(Listener.HTTPS)}/api{path}"
        answer = self.session.request(method, url, timeout=TIMEOUT_SECONDS, **options)
        if not (answer.ok or (method == "DELETE" and answer.status_code == 404)):
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json() if answer.content and method == "GET" else None

    def definitions(self, vhost: str) -> dict[str, Any]:
        """All of a vhost, and its users, as the broker exports them; what the node itself has is left out."""
        exported = self.call("GET", "/definitions")
        wanted = {name: [one for one in exported[name] if one["vhost"] == vhost] for name in OF_THE_VHOST}
        users = [one for one in exported["users"] if one["name"] != ADMINISTRATOR]
        return {"vhosts": [{"name": vhost}], "users": users, **wanted}

    def import_in_bulk(self, definitions: dict[str, Any]) -> float:
        """`POST /api/definitions` of the whole set in one body; seconds."""
        begin = time.monotonic()
        self.call("POST", "/definitions", json=definitions)
        return time.monotonic() - begin

    def clear(self, vhost: str, users: Sequence[str]) -> None:
        """Delete the vhost, the users, and what the tool recorded."""
        self._delete_vhost(vhost)
        self.call("POST", "/users/bulk-delete", json={"users": list(users)})
        for parameter in self.call("GET", "/global-parameters"):
            if parameter["name"].startswith("letrade-topo."):
                self.call("DELETE", f"/global-parameters/{parameter['name']}")

    def _delete_vhost(self, vhost: str) -> None:
        """Again until it is gone: the broker ends the connection when thousands of quorum queues take too long."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while any(one["name"] == vhost for one in self.call("GET", "/vhosts")):
            if time.monotonic() > deadline:
                raise RuntimeError(f"vhost {vhost} is still there after {TIMEOUT_SECONDS} s")
            with contextlib.suppress(requests.ConnectionError):
                self.call("DELETE", f"/vhosts/{vhost}")

    def read_raw(self, urls: Sequence[str], at_once: int) -> float:
        """Read the listings and throw them away; seconds. A new session, as the tool has one."""
        session = self._session()

        def read(url: str) -> bytes:
            return session.get(url, timeout=TIMEOUT_SECONDS).content

        begin = time.monotonic()
        with ThreadPoolExecutor(at_once) as pool:
            for _ in pool.map(read, urls):
                pass
        return time.monotonic() - begin

    def listings(self, vhost: str) -> list[str]:
        """The URLs that reading the state asks for."""
        urls: list[str] = []
        with ManagementClient(self._endpoint()) as client:
            session = client._transport._session  # the only place that sees every request
            session.hooks["response"].append(lambda answer, *_, **__: urls.append(answer.url))
            read_state(client, vhost)
        return urls

    def calls_of_plan(self, desired: DesiredState, scope: Scope) -> int:
        """How many requests planning makes, by the client's own count."""

        def expanded(_: Capabilities) -> DesiredState:
            return desired

        with ManagementClient(self._endpoint()) as client:
            request = PlanRequest(scope=scope, expand=expanded, locate=lambda _: "", allowances=Allowances())
            plan = prepare(client, request)
            if not plan.is_empty:
                raise RuntimeError("there is something to do: the count would not be that of an empty plan")
            return client.calls

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.auth = (ADMINISTRATOR, self.node.password)
        session.verify = str(self.node.certificates.ca_file)
        return session

    def _endpoint(self) -> ManagementEndpoint:
        return ManagementEndpoint.parse(
            self.node.url(Listener.HTTPS),
            username=ADMINISTRATOR,
            password=self.node.password,
            ca_file=self.node.certificates.ca_file,
        )


AS_THE_TOOL = LISTINGS_AT_ONCE
