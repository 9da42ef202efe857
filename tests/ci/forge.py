"""Stand-ins for the forges that the recipes talk to; everything else in a recipe's step is real.

`gh` is not packaged for pip, and GitHub is not here: a small program of that name keeps comments and issues in a file.
GitLab's notes are asked for over HTTP: a small server has them.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

State = dict[str, Any]
_GH = """#!{python}
import sys
sys.path.insert(0, {root!r})
from tests.ci.forge import gh
gh(sys.argv[1:], {file!r})
"""


@dataclass(frozen=True, slots=True)
class GitHub:
    """What `gh` changed.

    Args:
        folder: has the program `gh`.
    """

    folder: Path

    @classmethod
    def beginning(cls, folder: Path) -> GitHub:
        """No comments, no issues."""
        folder.mkdir()
        found = cls(folder)
        found._file.write_text(json.dumps({"comments": {}, "issues": {}}), encoding="utf-8")
        program = folder / "gh"
        root = str(Path(__file__).resolve().parents[2])
        program.write_text(_GH.format(python=sys.executable, root=root, file=str(found._file)), encoding="utf-8")
        program.chmod(0o755)
        return found

    @property
    def state(self) -> State:
        """Comments by number, and issues with `state` and `body`."""
        found: State = json.loads(self._file.read_text(encoding="utf-8"))
        return found

    @property
    def _file(self) -> Path:
        return self.folder / "state.json"


def gh(arguments: list[str], file: str) -> None:
    """The few things that the recipe asks of `gh`."""
    state: State = json.loads(Path(file).read_text(encoding="utf-8"))
    match arguments:
        case ["api", "--paginate", _, "--jq", wanted]:
            marker = re.search(r'startswith\("(.*)"\)', wanted)
            assert marker is not None, wanted
            print(*(number for number, body in state["comments"].items() if body.startswith(marker[1])), sep="\n")
        case ["api", "--method", ("POST" | "PATCH") as method, path, "--field", body, "--silent"]:
            number = path.rpartition("/")[2] if method == "PATCH" else str(len(state["comments"]) + 1)
            assert (number in state["comments"]) is (method == "PATCH"), path
            state["comments"][number] = Path(body.removeprefix("body=@")).read_text(encoding="utf-8")
        case [
            "issue",
            "list",
            "--repo",
            _,
            "--state",
            "open",
            "--label",
            "topology-drift",
            "--json",
            "number",
            "--jq",
            _,
        ]:
            print(*(number for number, issue in state["issues"].items() if issue["state"] == "open"), sep="\n")
        case ["label", "create", "topology-drift", "--repo", _, "--force"]:
            pass
        case ["issue", "create", "--repo", _, "--title", _, "--label", "topology-drift", "--body-file", body]:
            number = str(len(state["issues"]) + 1)
            state["issues"][number] = {"state": "open", "body": Path(body).read_text(encoding="utf-8")}
        case ["issue", "edit", number, "--repo", _, "--body-file", body]:
            state["issues"][number]["body"] = Path(body).read_text(encoding="utf-8")
        case ["issue", "close", number, "--repo", _, "--comment", _]:
            state["issues"][number]["state"] = "closed"
        case _:
            sys.exit(f"gh: unknown here: {arguments}")
    Path(file).write_text(json.dumps(state), encoding="utf-8")


@dataclass(slots=True)
class GitLab:
    """A server that has the notes of one merge request.

    Args:
        url: of its API.
        notes: bodies by number.
    """

    url: str = ""
    notes: dict[int, str] = field(default_factory=dict)


@contextmanager
def gitlab(token: str) -> Iterator[GitLab]:
    """Start it; it answers whoever has the token."""
    forge = GitLab()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, [{"id": number, "body": body} for number, body in forge.notes.items()])

        def do_POST(self) -> None:
            self._write(len(forge.notes) + 1)

        def do_PUT(self) -> None:
            self._write(int(self.path.rpartition("/")[2]))

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def _write(self, number: int) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.headers["PRIVATE-TOKEN"] == token:
                forge.notes[number] = body["body"]
            self._answer(201, body)

        def _answer(self, status: int, body: object) -> None:
            text = json.dumps(body).encode()
            self.send_response(status if self.headers["PRIVATE-TOKEN"] == token else 401)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    forge.url = f"http://127.0.0.1:{server.server_port}/api/v4"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield forge
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
