"""`letrade-topo k8s patch`: the agent as a sidecar in manifests of Kubernetes, without Helm."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from letrade_topo.exit_codes import ExitCode, epilog
from letrade_topo.program import CommandGroup

STANDARD_INPUT = "-"


_CODES = (ExitCode.INVALID_FILE, ExitCode.REFUSED)


@click.group(cls=CommandGroup, epilog=epilog(_CODES))
def k8s() -> None:
    """Put the agent into Kubernetes manifests, without Helm."""


@k8s.command(epilog=epilog(_CODES))
@click.argument("file", required=False, default=STANDARD_INPUT, type=click.Path(allow_dash=True))
@click.option(
    "--values",
    "files",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="LETRADE_TOPO_VALUES",
    show_envvar=True,
    help="Values of the sidecar, as for the library chart letrade-agent; may be repeated.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="PATH=VALUE",
    help="One value, for example keys.secret=strategy-keys; VALUE is YAML. May be repeated.",
)
@click.option(
    "--service",
    metavar="NAME",
    envvar="LETRADE_TOPO_SERVICE",
    show_envvar=True,
    help="The service, as the topology names it; short for --set service=NAME.",
)
@click.option(
    "--workload",
    metavar="KIND/NAME",
    envvar="LETRADE_TOPO_WORKLOAD",
    show_envvar=True,
    help="Which manifest, where several have pods; for example Deployment/strategy.",
)
def patch(
    file: str, files: tuple[Path, ...], settings: tuple[str, ...], service: str | None, workload: str | None
) -> None:
    """Put the agent beside the service of a manifest in FILE, by default standard input, and print the result.

    The sidecar is the library chart's, byte for byte: the first init container, its volumes, labels, and a group
    that may read its files. What is there already is replaced; everything else stays as it is written, comments
    and other documents, too. A pod that the agent would not protect is refused, with exit code 77.
    """
    from letrade_topo.k8s.errors import InvalidManifest, InvalidValues
    from letrade_topo.k8s.patch import patch as patched
    from letrade_topo.k8s.values import complete, read_values, setting

    given = []
    for path in files:
        try:
            given.append(read_values(path.read_text(encoding="utf-8"), str(path)))
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidValues(f"cannot read {path}", why=_reason(error)) from None
    given += [setting(text) for text in settings]
    if service is not None:
        given.append({"service": service})
    name = "<stdin>" if file == STANDARD_INPUT else file
    try:
        content = sys.stdin.buffer.read() if file == STANDARD_INPUT else Path(file).read_bytes()
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InvalidManifest(f"{name}{_place(content, error.start)}: this is not UTF-8") from None
    except OSError as error:
        raise InvalidManifest(f"cannot read {name}", why=_reason(error)) from None
    click.echo(patched(text, name, complete(*given), workload).encode(), nl=False)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)


def _place(content: bytes, offset: int) -> str:
    """`:LINE:COLUMN` of a byte; up to it the content is UTF-8."""
    before = content[:offset].decode()
    return f":{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
