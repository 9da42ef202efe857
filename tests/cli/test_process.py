"""The command line as a process: what is printed where, pipes and terminals, saved plans, other listeners."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from letrade_topo.exit_codes import ExitCode
from letrade_topo.node.settings import Listener
from tests.brokers import RunningBroker
from tests.tool import INHERITED, LONGEST_RUN_SECONDS, Tool
from tests.topologies import orders, write

pytestmark = [pytest.mark.one_version, pytest.mark.wide]

NOWHERE = "https://127.0.0.1:1"


@pytest.fixture
def offline(tmp_path: Path) -> Tool:
    """The tool with a small topology and a broker that is not there."""
    write(tmp_path / "topology.yaml", orders())
    settings = {
        "LETRADE_TOPO_MANAGEMENT": NOWHERE,
        "LETRADE_TOPO_USERNAME": "admin",
        "LETRADE_TOPO_PASSWORD": "irrelevant",
    }
    return Tool(settings, tmp_path)


@pytest.fixture
def tool(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[Tool]:
    """The tool with a small topology of its own that is not applied yet; its users go at the end."""
    write(tmp_path / "topology.yaml", orders(name=vhost_name, vhost=vhost_name))
    yield Tool.at(broker, tmp_path)
    for user in (f"{vhost_name}-shop", f"{vhost_name}-clerk"):
        broker.api("DELETE", f"/api/users/{user}")
    broker.api("DELETE", f"/api/global-parameters/letrade-topo.{vhost_name}.{vhost_name}")


def at_a_terminal(tool: Tool, *arguments: str, types: str = "", **environment: str) -> tuple[int, str]:
    """Run with a terminal for all three streams, on which somebody types; its exit code and what was shown."""
    process = tool.start("--version")  # only to borrow its program
    process.communicate(timeout=LONGEST_RUN_SECONDS)
    program = process.args
    assert isinstance(program, list)
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "r+b", buffering=0) as terminal:
        child = subprocess.Popen(
            [*program[:-1], *arguments],
            env=inherited | tool.environment | environment,
            cwd=tool.folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        terminal.write(types.encode())
        shown = bytearray()
        try:
            while chunk := terminal.read(65536):
                shown += chunk
        except OSError:  # how Linux says that the other end was closed
            pass
        return child.wait(LONGEST_RUN_SECONDS), shown.decode()


def in_a_shell(tool: Tool, redirection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run with streams as a shell redirects them."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "letrade_topo", *arguments],
        env=inherited | tool.environment,
        cwd=tool.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_RUN_SECONDS,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "--unknown"),
        ("nonsense",),
        ("plan", "--format", "sarif"),
        ("apply", "--lock-timeout", "soon"),
        ("apply", "--lock-timeout", "-1"),
        ("drift", "--allow", "adopt"),
        ("dlq", "ls", "a.yaml", "b.yaml"),
        (),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_64_not_2(offline: Tool, arguments: tuple[str, ...]) -> None:
    """2 means drift, whatever click would say."""
    assert offline.run(*arguments).check(ExitCode.USAGE).err


def test_help_and_version_are_answers(offline: Tool) -> None:
    """0, on stdout."""
    assert "drift" in offline.run("--help").check(ExitCode.OK).out
    assert "letrade-topo" in offline.run("--version").check(ExitCode.OK).out
    assert "--allow" in offline.run("apply", "--help").check(ExitCode.OK).out


def test_no_user_is_a_matter_of_usage(offline: Tool) -> None:
    """The message names the option and the variable."""
    environment = {name: value for name, value in offline.environment.items() if "USERNAME" not in name}
    answer = Tool(environment, offline.folder).run("plan").check(ExitCode.USAGE)
    assert "--username" in answer.err
    assert "LETRADE_TOPO_USERNAME" in answer.err


@pytest.mark.parametrize("command", ["plan", "drift", "apply", "destroy"])
def test_a_file_that_is_not_there_is_invalid(offline: Tool, command: str) -> None:
    """65 with its name, before the broker is asked."""
    assert "missing.yaml" in offline.run(command, "missing.yaml").check(ExitCode.INVALID_FILE).err


def test_an_unreadable_password_file_is_named(offline: Tool) -> None:
    """65 with the path; a flag has precedence over the environment."""
    answer = offline.run("plan", "--password-file", "none.txt").check(ExitCode.INVALID_FILE)
    assert "none.txt" in answer.err


def test_flags_have_precedence_over_the_environment_and_that_over_the_file(offline: Tool) -> None:
    """Seen by where the tool tries to connect."""
    document = orders(broker={"management": "https://127.0.0.1:3", "username": "filed"})
    write(offline.folder / "topology.yaml", document)
    assert "127.0.0.1:1 " in offline.run("plan").check(ExitCode.UNREACHABLE).err
    assert "127.0.0.1:2 " in offline.run("plan", "--management", "https://127.0.0.1:2").check(69).err
    bare = Tool({"LETRADE_TOPO_PASSWORD": "irrelevant"}, offline.folder)
    assert "127.0.0.1:3 " in bare.run("plan").check(ExitCode.UNREACHABLE).err


def test_plain_http_is_for_this_machine_only(offline: Tool) -> None:
    """64 elsewhere, whatever is allowed; the password never leaves."""
    arguments = ("plan", "--insecure-loopback", "--management", "http://192.0.2.1:15672")
    assert "https" in offline.run(*arguments).check(ExitCode.USAGE).err
    here = ("plan", "--management", "http://127.0.0.1:1")
    offline.run(*here).check(ExitCode.USAGE)
    offline.run(*here, "--insecure-loopback").check(ExitCode.UNREACHABLE)
    offline.having(LETRADE_TOPO_INSECURE_LOOPBACK="1").run(*here).check(ExitCode.UNREACHABLE)


def test_a_reader_that_has_seen_enough(tool: Tool) -> None:
    """`plan --format json | head -1`: no traceback, no complaint of Python at its exit."""
    process = tool.start("plan", "--format", "json")
    assert process.stdout is not None
    assert process.stdout.read(1) == "{"
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        said = process.stderr.read()
    process.wait(LONGEST_RUN_SECONDS)
    assert "Traceback" not in said
    assert "BrokenPipe" not in said


@pytest.mark.parametrize(
    ("redirection", "code"),
    [(">&-", ExitCode.OK), ("<&- >&- 2>&-", ExitCode.OK), ("2>&-", ExitCode.OK), (">/dev/full", ExitCode.FAILED)],
)
@pytest.mark.parametrize("output_format", ["text", "json"])
def test_streams_that_take_nothing(offline: Tool, redirection: str, code: int, output_format: str) -> None:
    """Closed before the start: as if it were thrown away. A full disk: one message and 1."""
    document = orders()
    document["messages"]["order.unused"] = {"exchange": "orders", "lifetime": "60s"}  # a warning, so that text is shown
    write(offline.folder / "topology.yaml", document)
    answer = in_a_shell(offline, redirection, "validate", "--format", output_format)

    assert answer.returncode == code, answer.stderr
    assert "Traceback" not in answer.stderr
    assert "Exception ignored" not in answer.stderr
    assert ("No space left on device" in answer.stderr) == (code == ExitCode.FAILED)


def test_nobody_can_be_asked_where_stdin_is_closed(tool: Tool) -> None:
    """64, as where it is no terminal."""
    answer = in_a_shell(tool, "<&-", "apply")
    assert answer.returncode == ExitCode.USAGE, answer.stderr
    assert "--yes" in answer.stderr


@pytest.mark.parametrize(
    ("name", "encoding", "shown"),
    [(b"caf\xe9.yaml", "utf-8", r"caf\udce9.yaml"), ("시.yaml".encode(), "latin-1", r"\uc2dc.yaml")],
)
def test_a_name_that_cannot_be_shown(offline: Tool, name: bytes, encoding: str, shown: str) -> None:
    """Names of files are bytes, and terminals have encodings: what does not fit is shown with escapes."""
    tool = offline.having(PYTHONIOENCODING=encoding)
    assert shown in tool.run("validate", os.fsdecode(name)).check(ExitCode.INVALID_FILE).out


def test_a_folder_is_no_place_for_a_plan(offline: Tool) -> None:
    """64 before the broker is asked."""
    assert "directory" in offline.run("plan", "-o", ".").check(ExitCode.USAGE).err


def test_an_address_has_a_port_in_digits(offline: Tool) -> None:
    """Not in what else Unicode calls a digit."""
    assert "HOST:PORT" in offline.run("watch", "--listen", "127.0.0.1:²").check(ExitCode.USAGE).err


@pytest.mark.parametrize("place", ["topology.yaml/broker", "/proc/broker"])
def test_a_broker_cannot_live_there(offline: Tool, place: str) -> None:
    """1 with the path and the system's words."""
    assert place in offline.run("broker", "start", "--folder", place).check(ExitCode.FAILED).err


@pytest.mark.parametrize("command", ["plan", "drift"])
@pytest.mark.parametrize("output_format", ["json", "markdown", "text"])
def test_data_is_on_stdout_and_talk_on_stderr(tool: Tool, command: str, output_format: str) -> None:
    """In each format, without colours where nobody looks."""
    answer = tool.run(command, "--format", output_format).check(ExitCode.CHANGES)
    assert "\x1b" not in answer.out + answer.err
    assert "clerk.orders" in answer.out
    assert "clerk.orders" not in answer.err
    if output_format == "json":
        assert json.loads(answer.out)["summary"]["create"] > 20


def test_apply_and_destroy_report_each_object(tool: Tool, vhost_name: str) -> None:
    """`--format json` is one document with a result for every change; markdown is a table."""
    report = json.loads(tool.run("apply", "--yes", "--format", "json").check(ExitCode.OK).out)
    assert {one["status"] for one in report["results"]} == {"done"}
    assert len(report["results"]) == report["summary"]["create"]
    again = json.loads(tool.run("apply", "--yes", "--format", "json").check(ExitCode.OK).out)
    assert again["results"] == again["changes"] == []
    gone = tool.run("destroy", "--yes", "--format", "markdown").check(ExitCode.OK).out
    assert f"| - | `vhost:{vhost_name}` |" in gone
    assert "Nothing to destroy" in tool.run("destroy", "--yes").check(ExitCode.OK).out


def test_colours_are_for_terminals_without_no_color(tool: Tool) -> None:
    """https://no-color.org."""
    code, shown = at_a_terminal(tool, "plan")
    assert code == ExitCode.CHANGES
    assert "\x1b[32m" in shown
    assert "\x1b[3" not in at_a_terminal(tool, "plan", NO_COLOR="1")[1]


def test_a_person_is_asked_and_may_decline(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """No: 77, nothing made, not even the vhost. Yes: done."""
    code, shown = at_a_terminal(tool, "apply", types="n\n")
    assert code == ExitCode.REFUSED
    assert "Apply these changes?" in shown
    assert "nothing was changed" in shown
    assert broker.api("GET", f"/api/vhosts/{vhost_name}").status_code == 404
    assert at_a_terminal(tool, "apply", types="y\n")[0] == ExitCode.OK
    tool.run("drift").check(ExitCode.OK)
    assert at_a_terminal(tool, "destroy", types="\n")[0] == ExitCode.REFUSED
    tool.run("drift").check(ExitCode.OK)


def test_a_saved_plan_is_stale_once_the_broker_has_changed(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """77, and nothing is written; a plan made again is applied from anywhere, without the topology."""
    tool.run("plan", "-o", "saved.plan").check(ExitCode.CHANGES)
    broker.api("PUT", f"/api/vhosts/{vhost_name}")
    broker.api("PUT", f"/api/queues/{vhost_name}/by-hand", json={"durable": True})

    stale = tool.run("apply", "--yes", "saved.plan").check(ExitCode.REFUSED)

    assert "has changed since" in stale.err
    assert broker.api("GET", f"/api/queues/{vhost_name}/clerk.orders").status_code == 404
    tool.run("plan", "-o", "saved.plan", "--allow", "delete-unmanaged").check(ExitCode.CHANGES)
    (tool.folder / "topology.yaml").rename(tool.folder / "moved.yaml")
    tool.run("apply", "--yes", "saved.plan").check(ExitCode.OK)
    tool.run("drift", "moved.yaml").check(ExitCode.OK)
    assert broker.api("GET", f"/api/queues/{vhost_name}/by-hand").status_code == 404


def test_a_saved_plan_needs_no_more_than_the_topology_did(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """Where the broker is, as whom and whom to trust may stand in the file; the plan remembers it."""
    access = {
        "management": broker.management_url,
        "username": broker.username,
        "password": {"file": str(broker.password_file)},
        "ca_file": str(broker.ca_file),
    }
    write(tool.folder / "topology.yaml", orders(name=vhost_name, vhost=vhost_name, broker=access))
    bare = Tool({}, tool.folder)
    bare.run("plan", "-o", "saved.plan").check(ExitCode.CHANGES)
    assert broker.password not in (tool.folder / "saved.plan").read_text(encoding="utf-8")
    bare.run("apply", "--yes", "saved.plan").check(ExitCode.OK)
    bare.run("drift").check(ExitCode.OK)


@pytest.mark.parametrize("extra", [("--overlay", "x.yaml"), ("--var", "a=b")], ids=["overlay", "variable"])
def test_a_saved_plan_takes_no_overlay(tool: Tool, extra: tuple[str, str]) -> None:
    """It would be ignored, and the person believe that it was not."""
    tool.run("plan", "-o", "saved.plan").check(ExitCode.CHANGES)
    assert extra[0] in tool.run("apply", "--yes", "saved.plan", *extra).check(ExitCode.USAGE).err


def test_other_listeners(start_broker: Callable[..., RunningBroker], one_broker_version: str, tmp_path: Path) -> None:
    """Plain listeners are drift where TLS is required; plain http on loopback and a path prefix work when asked for."""
    broker = start_broker(one_broker_version, listeners=frozenset(Listener), path_prefix="/rabbit")
    write(tmp_path / "topology.yaml", orders())
    tool = Tool.at(broker, tmp_path)
    tool.run("apply", "--yes").check(ExitCode.OK)
    tool.run("plan").check(ExitCode.OK)

    report = json.loads(tool.run("drift", "--format", "json").check(ExitCode.CHANGES).out)

    assert sorted(one["address"].rpartition(":")[0] for one in report["findings"]) == ["listener:amqp", "listener:http"]
    write(tmp_path / "topology.yaml", orders(security={"tls": {"required": False, "client_certificates": True}}))
    plain = tool.having(LETRADE_TOPO_MANAGEMENT=broker.node.url(Listener.HTTP), LETRADE_TOPO_INSECURE_LOOPBACK="1")
    plain.run("drift").check(ExitCode.OK)


def test_a_broker_without_the_management_plugin(
    start_broker: Callable[..., RunningBroker], one_broker_version: str, tmp_path: Path
) -> None:
    """69, and the message says how to enable it."""
    broker = start_broker(one_broker_version, listeners=frozenset({Listener.AMQPS}))
    write(tmp_path / "topology.yaml", orders())
    settings = {
        "LETRADE_TOPO_USERNAME": broker.username,
        "LETRADE_TOPO_PASSWORD_FILE": str(broker.password_file),
        "LETRADE_TOPO_CA_FILE": str(broker.ca_file),
    }
    answer = Tool(settings, tmp_path).run("plan", "--management", NOWHERE).check(ExitCode.UNREACHABLE)
    assert "rabbitmq-plugins enable rabbitmq_management" in answer.err
