"""`letrade-agent wait` and `healthcheck`: what a start script and a container ask the admin port."""

from __future__ import annotations

import http.client
import time

import click

from letrade_agent.cli.options import admin_option, option, seconds
from letrade_agent.config import Address
from letrade_topo.exit_codes import ExitCode, epilog

_ANSWER_SECONDS = 2.0
_POLL_SECONDS = 0.1
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where to reach what listens everywhere


@click.command(epilog=epilog({ExitCode.OK: "it takes clients", ExitCode.FAILED: "not in time"}))
@admin_option
@option(
    "--timeout",
    metavar="DURATION",
    default="30s",
    show_default=True,
    callback=seconds,
    help="After which it gives up, with exit code 1.",
)
def wait(admin: Address, timeout: float) -> int:
    """Wait until the agent takes clients (/startup answers 200)."""
    deadline = time.monotonic() + timeout
    while True:
        problem = ask(admin, "/startup")
        if not problem:
            return ExitCode.OK
        if time.monotonic() + _POLL_SECONDS > deadline:
            click.echo(f"error: no agent after {timeout:g} s: {problem}", err=True)
            return ExitCode.FAILED
        time.sleep(_POLL_SECONDS)


@click.command(epilog=epilog({ExitCode.OK: "alive", ExitCode.FAILED: "not alive"}))
@admin_option
def healthcheck(admin: Address) -> int:
    """Whether the agent is alive (/livez answers 200). Exit code 1 when it is not."""
    problem = ask(admin, "/livez")
    if problem:
        click.echo(f"error: {problem}", err=True)
    return ExitCode.FAILED if problem else ExitCode.OK


def ask(admin: Address, page: str) -> str:
    """What is wrong with the answer; empty when it is 200."""
    host = _ANY_ADDRESS.get(admin.host, admin.host)
    connection = http.client.HTTPConnection(host, admin.port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", page)
        answer = connection.getresponse()
        body = answer.read(1000).decode(errors="replace").strip()
        return "" if answer.status == http.client.OK else f"{page} at {admin} says {answer.status}: {body}"
    except (OSError, http.client.HTTPException) as error:
        return f"{page} at {admin} does not answer: {error}"
    finally:
        connection.close()
