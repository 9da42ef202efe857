"""`letrade-agent verify`: the published vectors as files, judged offline; exit codes; files that are none."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from letrade_agent.cli.main import main

from tests.topologies import SHIPPED

pytestmark = pytest.mark.wide

VECTORS = json.loads((SHIPPED.parent / "docs" / "reference" / "token-vectors.json").read_text())
DELIVERIES = {delivery["name"]: delivery for delivery in VECTORS["deliveries"] if "kept_up_until" not in delivery}
"""Offline nobody knows how long a queue was kept up with."""
CONTENT = {"envelope", "schema"}
"""Checks that come after those of the token, which the bodies of some vectors do not pass."""


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with the public keys of the vectors, and nothing else."""
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "jwks.json").write_text(json.dumps(VECTORS["public_keys"]))
    return folder


def verify(file: str, keys: Path, at: str, *more: str) -> int:
    """Run it."""
    service = VECTORS["verifier"]["service"]
    arguments = ["--service", service, "--topology", str(SHIPPED), "--keys", str(keys), "--at", at, *more]
    return main(["verify", file, *arguments])


@pytest.mark.parametrize("name", DELIVERIES)
def test_vectors(name: str, keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each published delivery gets its published verdict; refused ones exit with 1."""
    delivery: dict[str, Any] = DELIVERIES[name]
    file = tmp_path / "message.json"
    file.write_text(json.dumps(delivery))

    kept_up = [f"--kept-up-until={delivery['kept_up_until']}"] if "kept_up_until" in delivery else []

    code = verify(str(file), keys, str(delivery["now"]), *kept_up)

    out, err = capsys.readouterr()
    verdict = out.partition(":")[0]
    expected = {"accepted"} | CONTENT if delivery["verdict"] == "accepted" else {delivery["verdict"]}
    assert verdict in expected, out
    assert code == (0 if verdict == "accepted" else 1)
    assert len(out.partition(": ")[2]) > 5, "it says why"
    assert ("for up to a minute" in err) == delivery["held"]


def test_time_and_standard_input(
    keys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The time may be RFC 3339, and the message may come by a pipe; later the same message has expired."""
    delivery = DELIVERIES["one message, ES256"]
    moments = {
        "2025-06-15T15:06:41Z": "accepted",
        "2025-06-15T15:06:41": "accepted",
        "2026-01-01T00:00:00Z": "expired",
    }
    for moment, verdict in moments.items():
        pipe = io.TextIOWrapper(io.BytesIO(json.dumps(delivery).encode()))
        monkeypatch.setattr(sys, "stdin", pipe)
        verify("-", keys, moment)
        assert capsys.readouterr().out.partition(":")[0] in ({verdict} | CONTENT)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "missing"),
        (b"\xff", "UTF-8"),
        (b'{"queue": "a", "queue": "b"}', "twice"),
        (b'{"queue": 1}', "not a text"),
    ],
)
def test_files_that_are_no_message(
    content: bytes, says: str, keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 65, and what is wrong with the file."""
    file = tmp_path / "message.json"
    file.write_bytes(content)

    assert verify(str(file), keys, "0") == 65
    out, err = capsys.readouterr()
    assert says in err
    assert out == ""


def test_wrong_arguments(keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file is 65; no service, no keys, no time, an unknown service are 64."""
    file = tmp_path / "message.json"
    file.write_text("{}")

    assert verify(str(tmp_path / "nowhere.json"), keys, "0") == 65
    assert main(["verify", str(file), "--keys", str(keys)]) == 64
    assert main(["verify", str(file), "--service", "strategy", "--topology", str(SHIPPED)]) == 64
    assert verify(str(file), keys, "yesterday") == 64
    assert main(["verify", str(file), "--service", "x", "--topology", str(SHIPPED), "--keys", str(keys)]) == 64
    assert "Traceback" not in capsys.readouterr().err
