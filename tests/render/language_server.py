"""The language server that editors run for YAML files, spoken to over its standard streams.

Language Server Protocol 3.17: messages of JSON-RPC behind a `Content-Length`. One server for many files.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.interop.with_amqplib import modules_folder

LONGEST_SECONDS = 60.0
SETTINGS = {
    "yaml": {"schemaStore": {"enable": False}, "kubernetesCRDStore": {"enable": False}, "validate": True,
             "hover": True, "completion": True},
    "http": {},
    "[yaml]": {},
    "editor": {},
    "files": {},
}  # fmt: skip
"""Nothing is fetched."""


@dataclass(slots=True)
class LanguageServer:
    """A server that was initialized.

    Args:
        process: the server.
        unread: what it has written and nobody has taken.
        diagnostics: what it said last of each document.
        requests: how many were sent.
    """

    process: subprocess.Popen[bytes]
    unread: bytes = b""
    diagnostics: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    requests: int = 0

    def errors(self, paths: Iterable[Path]) -> dict[Path, list[tuple[int, str]]]:
        """What it says of files, opened all at once: lines from 1 and messages, by line."""
        uris = {path: self._open(path) for path in paths}
        end = time.monotonic() + LONGEST_SECONDS
        while not uris.keys() <= {path for path, uri in uris.items() if uri in self.diagnostics}:
            self._handle(self._read(end))
        return {path: self._said(uri) for path, uri in uris.items()}

    def _said(self, uri: str) -> list[tuple[int, str]]:
        return sorted((one["range"]["start"]["line"] + 1, one["message"]) for one in self.diagnostics[uri])

    def completions(self, path: Path, line: int, column: int) -> dict[str, dict[str, Any]]:
        """What it offers at a position, both from 1, by label."""
        answer = self.ask("textDocument/completion", self._position(path, line, column))
        items: list[dict[str, Any]] = answer["items"] if isinstance(answer, dict) else answer or []
        return {item["label"]: item for item in items}

    def hover(self, path: Path, line: int, column: int) -> str:
        """What it shows at a position, both from 1."""
        answer = self.ask("textDocument/hover", self._position(path, line, column))
        return str(answer["contents"]["value"]) if answer else ""

    def _position(self, path: Path, line: int, column: int) -> dict[str, Any]:
        return {"textDocument": {"uri": self._open(path)}, "position": {"line": line - 1, "character": column - 1}}

    def _open(self, path: Path) -> str:
        uri, text = path.as_uri(), path.read_text(encoding="utf-8")
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self.tell("textDocument/didOpen", {"textDocument": document})
        return uri

    def ask(self, method: str, parameters: Any) -> Any:
        """Send a request and wait for its result."""
        self.requests += 1
        self._send({"id": self.requests, "method": method, "params": parameters})
        end = time.monotonic() + LONGEST_SECONDS
        while True:
            message = self._read(end)
            if message.get("id") == self.requests and "method" not in message:
                assert "error" not in message, message
                return message["result"]
            self._handle(message)

    def tell(self, method: str, parameters: Any) -> None:
        """Send a notification."""
        self._send({"method": method, "params": parameters})

    def _handle(self, message: dict[str, Any]) -> None:
        match message.get("method"):
            case "textDocument/publishDiagnostics":
                self.diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
            case "workspace/configuration":
                asked = [item.get("section") for item in message["params"]["items"]]
                self._send({"id": message["id"], "result": [SETTINGS.get(section, {}) for section in asked]})
            case _ if "id" in message and "method" in message:
                self._send({"id": message["id"], "result": None})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def _read(self, end: float) -> dict[str, Any]:
        while True:
            head, separator, rest = self.unread.partition(b"\r\n\r\n")
            if separator:
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                if len(rest) >= length:
                    self.unread = rest[length:]
                    message: dict[str, Any] = json.loads(rest[:length])
                    return message
            assert self.process.stdout is not None
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"the language server says nothing for {LONGEST_SECONDS:g} s"
            got = os.read(self.process.stdout.fileno(), 1 << 16)
            assert got, "the language server has ended"
            self.unread += got


@contextmanager
def language_server(folder: Path) -> Iterator[LanguageServer]:
    """A server for the files of a folder."""
    program = modules_folder() / "yaml-language-server" / "bin" / "yaml-language-server"
    process = subprocess.Popen(
        ["node", str(program), "--stdio"],  # noqa: S607  # the one that script/setup found
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    server = LanguageServer(process)
    try:
        capabilities = {
            "workspace": {"configuration": True},
            "textDocument": {
                "completion": {"completionItem": {"snippetSupport": True, "documentationFormat": ["markdown"]}},
                "hover": {"contentFormat": ["markdown"]},
            },
        }
        roots = {"rootUri": folder.as_uri(), "workspaceFolders": None}
        server.ask("initialize", {"processId": None, "capabilities": capabilities, **roots})
        server.tell("initialized", {})
        server.tell("workspace/didChangeConfiguration", {"settings": SETTINGS})
        yield server
        server.ask("shutdown", None)
        server.tell("exit", None)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
