"""The agent's command line: where settings come from, and what a wrong one is answered with."""

from __future__ import annotations

import datetime
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from letrade_agent.cli.main import main
from letrade_agent.cli.run import read_settings, route, run
from letrade_agent.config import (
    Address,
    DeclareMode,
    InvalidSetting,
    RetryMode,
    Settings,
    SocketPath,
    Undeclared,
    UpstreamNode,
)

from letrade_topo.keys.making import make_keys
from letrade_topo.log import LogFormat
from letrade_topo.model.security import JwtAlgorithm
from letrade_topo.node.certificates import CertificateFolder
from tests.topologies import orders, write

pytestmark = pytest.mark.wide

FLAGS = {
    "--service": "shop",
    "--topology": "some.yaml",
    "--upstream": "amqps://one:5671,amqps://two:5672",
    "--listen": "unix:/run/agent.sock",
    "--listen-group": "4242",
    "--admin": "0.0.0.0:9000",
    "--allowed-host": "agents.example.com",
    "--keys": "keys",
    "--ca-file": "ca.pem",
    "--cert-file": "cert.pem",
    "--key-file": "key.pem",
    "--username": "somebody",
    "--undeclared": "pass",
    "--declares": "allow",
    "--retry": "off",
    "--drain-timeout": "1500ms",
    "--max-connections": "12",
    "--queue-wait": "90s",
    "--log-format": "text",
}
CHOSEN = Settings(
    service="shop",
    topology=Path("some.yaml"),
    upstream=(UpstreamNode(Address("one", 5671)), UpstreamNode(Address("two", 5672))),
    listen=SocketPath(Path("/run/agent.sock"), "4242"),
    admin=Address("0.0.0.0", 9000),  # noqa: S104  # read, never listened on
    allowed_hosts=("agents.example.com",),
    keys=Path("keys"),
    ca_file=Path("ca.pem"),
    cert_file=Path("cert.pem"),
    key_file=Path("key.pem"),
    username="somebody",
    undeclared=Undeclared.PASS,
    declares=DeclareMode.ALLOW,
    retry=RetryMode.OFF,
    drain_timeout_seconds=1.5,
    max_connections=12,
    queue_wait_seconds=90.0,
    log_format=LogFormat.TEXT,
)


def settings_of(arguments: list[str], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings that `run` would run with."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with run.make_context("run", list(arguments)) as context:
        given: dict[str, Any] = context.params
        return read_settings(given, environment)


def variable(flag: str) -> str:
    """Its environment variable, by the documented rule."""
    return "LETRADE_AGENT_" + flag.removeprefix("--").replace("-", "_").upper()


def test_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting by flag."""
    arguments = [part for flag, value in FLAGS.items() for part in (flag, value)]

    assert settings_of(arguments, {}, monkeypatch) == CHOSEN


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same by environment."""
    assert settings_of([], {variable(flag): value for flag, value in FLAGS.items()}, monkeypatch) == CHOSEN


def test_flag_before_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said at the command line counts more than what is around it."""
    environment = {variable(flag): value for flag, value in FLAGS.items()}

    found = settings_of(["--service", "clerk", "--undeclared", "refuse"], environment, monkeypatch)

    assert (found.service, found.undeclared, found.declares) == ("clerk", Undeclared.REFUSE, DeclareMode.ALLOW)


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Safe ones: loopback, TLS, enforced."""
    found = settings_of(["--service", "shop"], {}, monkeypatch)

    assert found == Settings("shop", Path("topology.yaml"), (UpstreamNode(Address("localhost", 5671)),))
    assert isinstance(found.listen, Address)
    assert found.listen.is_loopback
    assert found.admin.is_loopback


def test_a_unix_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path, and the group that may use it."""
    found = settings_of(["--service", "shop", "--listen", "unix:/run/a/b.sock"], {}, monkeypatch)
    assert found.listen == SocketPath(Path("/run/a/b.sock"))
    assert str(found.listen) == "unix:/run/a/b.sock"
    variables = {"LETRADE_AGENT_LISTEN": "unix:/run/b.sock", "LETRADE_AGENT_LISTEN_GROUP": "1000"}
    assert settings_of(["--service", "shop"], variables, monkeypatch).listen == SocketPath(Path("/run/b.sock"), "1000")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--listen", "unix:run/b.sock"], "no absolute path"),
        (["--listen", "unix:"], "no absolute path"),
        (["--listen", f"unix:/{'x' * 100}"], "a path of 101 bytes"),
        (["--listen-group", "1000"], "without a Unix socket"),
    ],
)
def test_what_is_no_unix_socket(arguments: list[str], problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before anything is opened."""
    with pytest.raises(InvalidSetting, match=problem):
        settings_of(["--service", "shop", *arguments], {}, monkeypatch)


def test_route_listens_nowhere_and_has_no_flag_of_its_own() -> None:
    """Where the broker is and who it is: the same flags as of `run`; what clients need is not among them."""
    ours, theirs = ({one.name for one in command.params} for command in (route, run))
    assert ours < theirs
    assert not ours & {"listen", "local_password_file", "undeclared", "declares", "retry", "drain_timeout"}
    with route.make_context("route", ["--service", "shop"]) as context:
        found = read_settings(context.params, {"LETRADE_AGENT_LOCAL_PASSWORD": "x"})
    assert (found.listen, found.retry, found.local_password) == (None, RetryMode.ON, None)


def test_every_flag_has_its_variable() -> None:
    """Each flag is read from LETRADE_AGENT_<FLAG>, and its help says so."""
    with run.make_context("run", ["--service", "x"], resilient_parsing=True) as context:
        help_text = " ".join(run.get_help(context).split())
    flags = [option.opts[0] for option in run.params if isinstance(option, click.Option) and option.opts[0] != "--help"]

    assert {"--insecure-loopback", "--local-password-file", "--password-file", *FLAGS} == set(flags)
    for flag in flags:
        assert variable(flag) in help_text


def test_passwords(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file of a flag, then the variable, then the file of a variable; never an argument, never shown."""
    for name, text in (("a", "from flag\n"), ("b", "from file\n")):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(text)
    environment = {"LETRADE_AGENT_PASSWORD": "from variable", "LETRADE_AGENT_PASSWORD_FILE": str(tmp_path / "b")}
    base = ["--service", "shop"]

    by_flag = settings_of([*base, "--password-file", str(tmp_path / "a")], environment, monkeypatch)
    assert by_flag.password == "from flag"
    assert settings_of(base, environment, monkeypatch).password == "from variable"
    del environment["LETRADE_AGENT_PASSWORD"]
    assert settings_of(base, environment, monkeypatch).password == "from file"
    local = settings_of(base, {"LETRADE_AGENT_LOCAL_PASSWORD": "local"}, monkeypatch)
    assert local.local_password == "local"
    assert "from flag" not in repr(by_flag)
    assert "local'" not in repr(local)


def test_topology_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables and overlays of the topology are those of letrade-topo."""
    environment = {"LETRADE_TOPO_VAR_ENVIRONMENT": "production", "LETRADE_TOPO_OVERLAY": "a.yaml:b.yaml"}

    found = settings_of(["--service", "shop"], environment, monkeypatch)

    assert found.variables == {"ENVIRONMENT": "production"}
    assert found.overlays == (Path("a.yaml"), Path("b.yaml"))


BAD = [
    ([], 64, "no service"),
    (["--service", "shop", "--listen", "0.0.0.0:5672"], 64, "not on loopback"),
    (["--service", "shop", "--listen", "broker.example:5672"], 64, "not on loopback"),
    (["--service", "shop", "--listen", "127.0.0.1"], 64, "is not an address"),
    (["--service", "shop", "--listen", "::1:5672"], 64, "is not an address"),
    (["--service", "shop", "--admin", "127.0.0.1:99999"], 64, "is not an address"),
    (["--service", "shop", "--upstream", "amqp://broker.example:5672"], 64, "plain text over the network"),
    (["--service", "shop", "--upstream", "amqp://broker.example", "--insecure-loopback"], 64, "plain text over"),
    (["--service", "shop", "--upstream", "amqp://127.0.0.1:5672"], 64, "--insecure-loopback"),
    (["--service", "shop", "--upstream", "https://broker:5671"], 64, "not the URL of a broker"),
    (["--service", "shop", "--upstream", "amqps://broker:x"], 64, "not the URL of a broker"),
    (["--service", "shop", "--upstream", "amqps://[broker"], 64, "not the URL of a broker"),
    (["--service", "shop", "--upstream", "amqps://broker/vhost"], 64, "more than a host and a port"),
    (["--service", "shop", "--upstream", " , "], 64, "names no broker"),
    (["--service", "shop", "--cert-file", "x.pem"], 64, "without --key-file"),
    (["--service", "shop", "--key-file", "x.pem"], 64, "without --cert-file"),
    (["--service", "shop", "--drain-timeout", "25"], 64, "has no unit"),
    (["--service", "shop", "--declares", "maybe"], 64, "maybe"),
    (["--service", "shop", "--max-connections", "0"], 64, "0 is not in the range x>=1"),
    (["--service", "shop", "--unknown"], 64, "--unknown"),
    (["--service", "shop", "--password-file", "nowhere"], 65, "cannot read the secret file nowhere"),
    (["--service", "shop", "--topology", "nowhere.yaml"], 65, "nowhere.yaml"),
    (["--service", "shop", "--topology", "bad.yaml"], 65, "bad.yaml:"),
    (["--service", "shpo", "--topology", "good.yaml"], 64, "did you mean 'shop'"),
    (["--service", "shop", "--topology", "good.yaml"], 64, "no key folder"),
    (["--service", "shop", "--topology", "good.yaml", "--keys", "nowhere"], 65, "nowhere"),
    (["--service", "shop", "--topology", "unsigned.yaml"], 64, "no login at the broker for 'orders-shop'"),
    (["--service", "shop", "--topology", "unsigned.yaml", "--ca-file", "nowhere"], 64, "no login"),
    (
        ["--service", "shop", "--topology", "unsigned.yaml", "--cert-file", "x", "--key-file", "y"],
        65,
        "there is no file x",
    ),
    (
        ["--service", "shop", "--topology", "unsigned.yaml", "--cert-file", "good.yaml", "--key-file", "good.yaml"],
        65,
        "others can read or change good.yaml",
    ),
]


@pytest.mark.parametrize(("arguments", "code", "says"), BAD)
def test_bad_settings(
    arguments: list[str], code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """One message that says what to do, no traceback, exit code 64, or 65 for a file."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "good.yaml", orders())
    unsigned = {"jwt": {"mode": "off"}, "tls": {"client_certificates": True}}
    write(tmp_path / "unsigned.yaml", orders(security=unsigned))
    write(tmp_path / "bad.yaml", orders(queues={"x": {"service": "nobody"}}))

    assert main(["run", *arguments]) == code

    out, err = capsys.readouterr()
    assert says in err
    assert "Traceback" not in err
    assert out == ""


def test_password_in_url_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    """A URL with a password is refused, and the password is not shown once more."""
    assert main(["run", "--service", "shop", "--upstream", "amqps://me:hunter2@broker"]) == 64

    assert "hunter2" not in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["wait", "--help"], ["verify", "--help"]])
def test_help_is_quick(arguments: list[str]) -> None:
    """Help costs less than twice what it cannot do without: the interpreter, click and an event loop."""
    help_seconds, bare_seconds = zip(
        *((_cpu_seconds("-m", "letrade_agent.cli.main", *arguments), _cpu_seconds("-c", BARE)) for _ in range(3)),
        strict=True,
    )
    assert min(help_seconds) < 2 * min(bare_seconds)


BARE = "import asyncio, click, logging, ssl; print(asyncio, click, logging, ssl)"


def _cpu_seconds(*arguments: str) -> float:
    """Of a Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *arguments], capture_output=True, timeout=60, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


ROOM = """
import resource
from letrade_agent.start import make_room_for

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 1256))
print([make_room_for(10), make_room_for(500), make_room_for(5000)], resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_open_files_for_the_clients() -> None:
    """The process raises its own limit as far as it may, and knows how many clients that is enough for."""
    done = subprocess.run([sys.executable, "-c", ROOM], capture_output=True, text=True, check=True)
    assert done.stdout == "[10, 500, 500] (1256, 1256)\n"


def test_probes_without_an_agent(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, and a sentence that names the address."""
    assert main(["healthcheck", "--admin", "127.0.0.1:1"]) == 1
    assert main(["wait", "--admin", "127.0.0.1:1", "--timeout", "300ms"]) == 1

    assert capsys.readouterr().err.count("127.0.0.1:1 does not answer") == 2


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("topology.yaml", 0o666),
        ("keys/public/jwks.json", 0o666),
        ("keys/public", 0o777),
        ("keys/shop/signing.jwk", 0o644),
        ("password", 0o644),
        ("local", 0o644),
        ("tls/ca.pem", 0o666),
        ("tls/client.key", 0o644),
        ("tls/client.pem", 0o666),
        ("tls", 0o777),
    ],
)
def test_files_that_others_could_have_written_or_read(
    name: str, mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever decides whom the agent believes: it does not start, and says which file and what to do."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "topology.yaml", orders())
    make_keys(
        tmp_path / "keys", ["shop", "clerk"], ["move"], algorithm=JwtAlgorithm.ES256, now=1, valid_for_seconds=None
    )
    for secret in ("password", "local"):
        (tmp_path / secret).touch(0o600)
        (tmp_path / secret).write_text("secret")
    folder = CertificateFolder(tmp_path / "made")
    folder.ensure(("shop",), now=datetime.datetime.now(datetime.UTC))
    credential = folder.client("shop")
    (tmp_path / "tls").mkdir()
    for made, path in (
        (folder.authority.certificate, "ca.pem"),
        (credential.certificate, "client.pem"),
        (credential.key, "client.key"),
    ):
        (tmp_path / "tls" / path).touch(0o600)
        (tmp_path / "tls" / path).write_bytes(made.read_bytes())
    (tmp_path / name).chmod(mode)
    files = [
        "--ca-file",
        "tls/ca.pem",
        "--cert-file",
        "tls/client.pem",
        "--key-file",
        "tls/client.key",
        "--keys",
        "keys",
    ]
    secrets = ["--password-file", "password", "--local-password-file", "local"]

    assert main(["run", "--service", "shop", "--admin", "127.0.0.1:0", *files, *secrets]) in {64, 65}

    error = capsys.readouterr().err
    assert "others can" in error
    assert name in error
    assert f"{mode:04o}" in error
