"""What programs and people are told when a command fails: JSON where it was asked for, and what was probably meant."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from letrade_agent.cli.main import letrade_agent

from letrade_topo.apply.lock import BrokerLock
from letrade_topo.cli.main import letrade_topo
from letrade_topo.exit_codes import ExitCode
from letrade_topo.management.client import ManagementClient
from tests.brokers import RunningBroker
from tests.management.endpoints import endpoint_of
from tests.tool import Tool, ToolAnswer, ended
from tests.topologies import orders, write

pytestmark = pytest.mark.wide

NOWHERE = "https://127.0.0.1:1"


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _commands(found, (*path, name))


COMMANDS = [
    *_commands(letrade_topo, ("letrade-topo",)),
    *_commands(letrade_agent, ("letrade-agent",)),
]


def _prints_json(parameter: click.Parameter) -> bool:
    return "--format" in parameter.opts and "json" in getattr(parameter.type, "choices", ())


ALL_JSON = [
    (
        *path[1:],
        *(one.human_readable_name for one in command.params if isinstance(one, click.Argument) and one.required),
    )
    for path, command in COMMANDS
    if path[0] == "letrade-topo" and any(map(_prints_json, command.params))
]


@pytest.fixture
def offline(tmp_path: Path) -> Tool:
    """The tool with a small topology and a broker that is not there."""
    write(tmp_path / "topology.yaml", orders())
    settings = {
        "LETRADE_TOPO_MANAGEMENT": NOWHERE,
        "LETRADE_TOPO_AMQP": "amqps://127.0.0.1:1",
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


def failure(answer: ToolAnswer, code: int, kind: str) -> dict[str, Any]:
    """The error of the one document on stdout; people are told on stderr."""
    document = json.loads(answer.check(code).out)
    error: dict[str, Any] = document["error"]
    assert document["format_version"]
    assert (error["kind"], error["exit_code"]) == (kind, code)
    assert error["what"]
    assert answer.err
    return error


def test_every_command_with_a_format_is_asked() -> None:
    """None of those that are known is missing here."""
    assert {command[0] for command in ALL_JSON} >= {
        "plan",
        "doctor",
        "graph",
        "route",
        "rehearse",
        "dlq",
        "keys",
        "broker",
    }


@pytest.mark.parametrize("command", ALL_JSON, ids=" ".join)
def test_a_wrong_option_is_told_as_json(offline: Tool, command: tuple[str, ...]) -> None:
    """Although nobody could parse the arguments; before and behind the format."""
    for arguments in ((*command, "--format", "json", "--allw"), (*command, "--allw", "--format=json")):
        assert "--allw" in failure(offline.run(*arguments), ExitCode.USAGE, "NoSuchOption")["what"]


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("plam", "--format", "json"), "UsageError", "plan"),
        (("dlq", "lst", "--format", "json"), "UsageError", "ls"),
        (("dlq", "ls", "a", "b", "--format", "json"), "UsageError", "b"),
        (("apply", "--format", "json"), "Usage", "--yes"),
        (("dlq", "replay", "--format", "json"), "Usage", "--keys"),
    ],
)
def test_a_wrong_usage_is_told_as_json(offline: Tool, arguments: tuple[str, ...], kind: str, words: str) -> None:
    """64, whoever found it out; `apply` without `--yes` is told by the connection first."""
    answer = offline.run(*arguments)
    if arguments[0] == "apply":
        failure(answer, ExitCode.UNREACHABLE, "BrokerUnreachable")
    else:
        assert words in failure(answer, ExitCode.USAGE, kind)["what"]


@pytest.mark.parametrize("command", [("plan",), ("apply", "--yes"), ("drift",), ("destroy", "--yes"), ("dlq", "ls")])
@pytest.mark.parametrize("named_by", ["--password-file", "LETRADE_TOPO_PASSWORD_FILE"])
def test_a_password_file_that_others_can_read_is_refused(
    offline: Tool, command: tuple[str, ...], named_by: str
) -> None:
    """Before a broker is asked, and with the way out; the password is shown nowhere."""
    file = offline.folder / "secret"
    file.write_text("hunter2\n", encoding="utf-8")
    file.chmod(0o644)
    without = {name: value for name, value in offline.environment.items() if "PASSWORD" not in name}
    tool, options = Tool(without, offline.folder), [named_by, str(file)]
    if not named_by.startswith("--"):
        tool, options = tool.having(**{named_by: str(file)}), []

    answer = tool.run(*command, *options)

    assert "hunter2" not in answer.check(ExitCode.INVALID_FILE).out + answer.err
    assert "chmod" in answer.err, answer
    file.chmod(0o600)
    tool.run(*command, *options).check(ExitCode.UNREACHABLE)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, id=" ".join(command))
        for command in (("plan",), ("apply", "--yes"), ("drift",), ("destroy", "--yes"), ("dlq", "ls"))
    ],
)
def test_files_and_brokers_are_told_as_json(offline: Tool, command: tuple[str, ...]) -> None:
    """A file that is missing or invalid, with its diagnostics; a broker that is not there; no password."""
    unreachable = failure(offline.run(*command, "--format", "json"), ExitCode.UNREACHABLE, "BrokerUnreachable")
    assert unreachable["why"]
    missing = offline.run(*command, "nowhere.yaml", "--format", "json")
    assert "nowhere.yaml" in failure(missing, ExitCode.INVALID_FILE, "InvalidTopology")["what"]
    (offline.folder / "broken.yaml").write_text("topology: 1\nname: x\nvhost: y\nkeues: {}\n", encoding="utf-8")
    broken = offline.run(*command, "broken.yaml", "--format", "json")
    failure(broken, ExitCode.INVALID_FILE, "InvalidTopology")
    (found,) = json.loads(broken.out)["diagnostics"]
    assert (found["rule"], found["line"]) == ("unknown-key", 4)
    unset = offline.having(LETRADE_TOPO_PASSWORD="").run(*command, "--format", "json")
    failure(unset, ExitCode.INVALID_FILE, "MissingSecret")


@pytest.mark.parametrize(
    ("command", "code", "kind"),
    [
        (("graph", "nowhere.yaml"), ExitCode.INVALID_FILE, "InvalidTopology"),
        (("graph", "--service", "nobody"), ExitCode.USAGE, "Usage"),
        (("graph", "--live"), ExitCode.UNREACHABLE, "BrokerUnreachable"),
        (("graph", "-o", "nowhere/graph.json"), ExitCode.FAILED, "CannotWrite"),
        (("route", "nowhere.yaml", "orders", "order.placed"), ExitCode.INVALID_FILE, "InvalidTopology"),
        (("route", "orders", "order.placed", "--live"), ExitCode.UNREACHABLE, "BrokerUnreachable"),
        (("rehearse",), ExitCode.USAGE, "MissingParameter"),
        (("rehearse", "--agent", "127.0.0.1:1"), ExitCode.UNREACHABLE, "AgentUnreachable"),
        (("rehearse", "--agent", "http://h:x"), ExitCode.USAGE, "InvalidAgentUrl"),
        (("rehearse", "--agent", "127.0.0.1:1", "--period", "soon"), ExitCode.USAGE, "BadParameter"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_looks_at_a_topology_or_an_agent_tells_as_json(
    offline: Tool, command: tuple[str, ...], code: int, kind: str
) -> None:
    """Whatever it was that failed."""
    failure(offline.run(*command, "--format", "json"), code, kind)


def test_doctor_tells_what_failed_as_json(offline: Tool) -> None:
    """Its document is the same as ever: each check, and the first that failed decides about the code."""
    for arguments, code, failed in (
        ((), ExitCode.UNREACHABLE, "port"),
        (("nowhere.yaml",), ExitCode.INVALID_FILE, "file"),
    ):
        document = json.loads(offline.run("doctor", *arguments, "--format", "json").check(code).out)
        assert next(one["name"] for one in document["checks"] if one["verdict"] == "failed") == failed


def test_the_format_may_come_from_the_environment(offline: Tool) -> None:
    """As for the command itself; a command without formats says nothing on stdout."""
    by_environment = offline.having(LETRADE_TOPO_FORMAT="json")
    failure(by_environment.run("plan"), ExitCode.UNREACHABLE, "BrokerUnreachable")
    assert by_environment.run("plan", "--format", "text").check(ExitCode.UNREACHABLE).out == ""
    assert by_environment.run("k8s", "patch", "nowhere.yaml").code != 0
    assert by_environment.run("k8s", "patch", "nowhere.yaml").out == ""


def test_text_has_no_document(offline: Tool) -> None:
    """What is for people stays on stderr."""
    assert offline.run("plan").check(ExitCode.UNREACHABLE).out == ""
    assert offline.run("plan", "--format", "markdown").check(ExitCode.UNREACHABLE).out == ""


@pytest.mark.one_version
def test_a_refused_login_is_told_as_json(tool: Tool) -> None:
    """69."""
    stranger = tool.having(LETRADE_TOPO_PASSWORD_FILE="", LETRADE_TOPO_PASSWORD="wrong")
    for command in (("plan",), ("apply", "--yes"), ("drift",), ("destroy", "--yes")):
        failure(stranger.run(*command, "--format", "json"), ExitCode.UNREACHABLE, "LoginRefused")


@pytest.mark.one_version
def test_guards_and_stale_plans_are_told_as_json(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """77: one document, the plan with what was refused and the error; nothing else on stdout."""
    tool.run("plan", "-o", "saved.plan", "--format", "json").check(ExitCode.CHANGES)
    broker.api("PUT", f"/api/vhosts/{vhost_name}")
    broker.api("PUT", f"/api/queues/{vhost_name}/clerk.orders", json={"durable": True})
    failure(tool.run("apply", "--yes", "--format", "json", "saved.plan"), ExitCode.REFUSED, "StalePlan")

    refused = tool.run("apply", "--yes", "--format", "json")

    assert "guard" in failure(refused, ExitCode.REFUSED, "UnsafePlan")["what"]
    assert json.loads(refused.out)["refusals"]
    edited = (tool.folder / "saved.plan").read_text(encoding="utf-8").replace("clerk.orders", "clerk.other")
    (tool.folder / "saved.plan").write_text(edited, encoding="utf-8")
    failure(tool.run("apply", "--yes", "--format", "json", "saved.plan"), ExitCode.INVALID_FILE, "InvalidPlanFile")


@pytest.mark.one_version
def test_a_held_lock_and_an_interruption_are_told_as_json(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """75 and 130."""
    broker.api("PUT", f"/api/vhosts/{vhost_name}")
    with ManagementClient(endpoint_of(broker)) as client, BrokerLock(client, vhost_name, vhost_name, 0.0):
        busy = tool.run("apply", "--yes", "--format", "json", "--lock-timeout", "0")
        failure(busy, ExitCode.LOCKED, "LockHeld")
        waiting = tool.having(PYTHONUNBUFFERED="1").start("apply", "--yes", "-v", "--format", "json")
        assert waiting.stderr is not None
        limit = time.monotonic() + 60
        while "PUT /api/queues" not in waiting.stderr.readline():  # it has tried to take the lock
            assert time.monotonic() < limit
        waiting.send_signal(signal.SIGINT)
        failure(ended(waiting), ExitCode.INTERRUPTED, "Interrupted")


@pytest.mark.one_version
def test_verbose_tells_each_call_and_no_secret(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """Method, path, status and time on stderr; the document on stdout is as without it."""
    users = {f"{vhost_name}-shop": {"password": {"env": "SHOP"}}}
    write(
        tool.folder / "topology.yaml",
        orders(name=vhost_name, vhost=vhost_name, users=users, services=None, queues=None, messages=None),
    )
    answer = tool.having(SHOP="hunter2-geheim").run("apply", "--yes", "-v", "--format", "json").check(ExitCode.OK)

    lines = answer.err.splitlines()
    assert any(line.startswith("GET /api/whoami → 200, ") and line.endswith(" ms") for line in lines)
    assert any(line.startswith(f"PUT /api/users/{vhost_name}-shop → 201, ") for line in lines)
    assert "hunter2" not in answer.err + answer.out
    assert broker.password not in answer.err + answer.out
    assert json.loads(answer.out)["results"]
    assert "/api/" not in tool.having(SHOP="hunter2-geheim").run("plan").check(ExitCode.OK).err


@pytest.mark.parametrize("program", ["letrade-topo", "letrade-agent"])
def test_a_variable_means_one_thing(program: str) -> None:
    """Set for one command, it is read by every other that names it: each takes the same kind of value from it."""
    taken: dict[str, dict[tuple[object, ...], str]] = {}
    for path, command in COMMANDS:
        for one in command.params if path[0] == program else ():
            kind = (type(one.type), one.metavar or str(one.name).upper(), one.multiple)
            names = [one.envvar] if isinstance(one.envvar, str) else one.envvar or ()
            for name in names:
                taken.setdefault(name, {}).setdefault(kind, f"{' '.join(path)} {one.opts[0]}")
    assert len(taken) > 5
    assert {name: list(of.values()) for name, of in taken.items() if len(of) > 1} == {}


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[" ".join(path) for path, _ in COMMANDS])
def test_help_names_the_exit_codes(path: tuple[str, ...], command: click.Command) -> None:
    """Those of the command, one a line."""
    text = command.get_help(click.Context(command, info_name=" ".join(path)))

    assert "Exit codes:" in text
    assert "64" in text.partition("Exit codes:")[2]
    assert "130" in text.partition("Exit codes:")[2]


@pytest.mark.parametrize(
    ("program", "arguments", "meant"),
    [
        ("letrade_topo", ("plna",), "'plan'"),
        ("letrade_topo", ("Validate",), "'validate'"),
        ("letrade_topo", ("dlq", "reply"), "'replay'"),
        ("letrade_topo", ("keys", "rotat"), "'rotate'"),
        ("letrade_topo", ("broker", "stat"), "'start'"),
        ("letrade_topo", ("xyzzy",), "validate, schema, plan"),
        ("letrade_topo", ("plan", "--overlai", "x"), "--overlay"),
        ("letrade_topo", ("apply", "--close-connection"), "--close-connections"),
        ("letrade_agent", ("verfy",), "'verify'"),
        ("letrade_agent", ("run", "--servic", "x"), "--service"),
    ],
)
def test_a_misspelt_command_or_option_is_answered_with_what_may_be_meant(
    program: str, arguments: tuple[str, ...], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """64, in both programs."""
    main: Callable[[list[str]], int]
    if program == "letrade_topo":
        from letrade_topo.cli.main import main
    else:
        from letrade_agent.cli.main import main
    assert main(list(arguments)) == ExitCode.USAGE
    assert meant in capsys.readouterr().err
