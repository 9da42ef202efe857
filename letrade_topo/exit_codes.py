"""What the process's exit code says, and which error means which.

Classes are named by text, so that `letrade-topo --help` does not import the whole package.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every subcommand; above 63 as in BSD's sysexits.h."""

    OK = 0
    FAILED = 1
    CHANGES = 2
    PARTLY_APPLIED = 3
    USAGE = 64
    INVALID_FILE = 65
    UNREACHABLE = 69
    LOCKED = 75
    REFUSED = 77
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """What it means, in words."""
        return MEANINGS[self]


MEANINGS = {
    ExitCode.OK: "done, or in sync",
    ExitCode.FAILED: "failed: the broker refused, a right is missing, a file cannot be written; "
    "`letrade-agent verify`: refused",
    ExitCode.CHANGES: "`plan`: there are changes; `drift`: the broker differs, or has what nobody declared; "
    "`rehearse`: something would be refused",
    ExitCode.PARTLY_APPLIED: "partly done: some changes are made, some are not; run the command again",
    ExitCode.USAGE: "wrong arguments, options or settings",
    ExitCode.INVALID_FILE: "an invalid topology, key or message file, a missing secret, or an edited plan",
    ExitCode.UNREACHABLE: "the broker cannot be reached, its certificate is not trusted, or it refused the login",
    ExitCode.LOCKED: "another run holds the lock",
    ExitCode.REFUSED: "a guard refused, or a saved plan is stale; nothing was changed",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C; run the command again",
}

IN_HELP = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "failed; the message says why",
    ExitCode.CHANGES: "there are changes",
    ExitCode.PARTLY_APPLIED: "partly done; run it again",
    ExitCode.USAGE: "wrong arguments, options or settings",
    ExitCode.INVALID_FILE: "an invalid file, or a missing secret",
    ExitCode.UNREACHABLE: "no connection, no trust, or the login was refused",
    ExitCode.LOCKED: "another run holds the lock",
    ExitCode.REFUSED: "a guard refused; nothing was changed",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
}


def epilog(codes: Mapping[ExitCode, str] | Iterable[ExitCode] = ()) -> str:
    """The list at the end of a command's `--help`, for click.

    Args:
        codes: those that the command may end with besides done, failed, a wrong usage and Ctrl-C; with words of its
            own, or as they are for all.
    """
    own = codes if isinstance(codes, Mapping) else dict.fromkeys(codes, "")
    always = (ExitCode.OK, ExitCode.FAILED, ExitCode.USAGE, ExitCode.INTERRUPTED)
    lines = [f"  {int(code):>3}  {own.get(code) or IN_HELP[code]}" for code in sorted({*always, *own})]
    return "\n".join(["\b", "Exit codes:", *lines])


WRITING = (
    ExitCode.PARTLY_APPLIED,
    ExitCode.INVALID_FILE,
    ExitCode.UNREACHABLE,
    ExitCode.LOCKED,
    ExitCode.REFUSED,
)
"""What a command that writes to a broker may end with."""

BY_ERROR = {
    "InvalidTopology": ExitCode.INVALID_FILE,
    "TopologyRefused": ExitCode.INVALID_FILE,
    "MissingSecret": ExitCode.INVALID_FILE,
    "UnusableHash": ExitCode.INVALID_FILE,
    "InvalidPlanFile": ExitCode.INVALID_FILE,
    "InvalidKeySet": ExitCode.INVALID_FILE,
    "InvalidSchema": ExitCode.INVALID_FILE,
    "InvalidCertificate": ExitCode.INVALID_FILE,
    "InvalidMessageFile": ExitCode.INVALID_FILE,
    "NotAMessage": ExitCode.INVALID_FILE,
    "UnsuitableName": ExitCode.INVALID_FILE,
    "InvalidDefinitions": ExitCode.INVALID_FILE,
    "InvalidManifest": ExitCode.INVALID_FILE,
    "InvalidValues": ExitCode.INVALID_FILE,
    "InvalidEndpoint": ExitCode.USAGE,
    "InvalidAgentUrl": ExitCode.USAGE,
    "InvalidAllowance": ExitCode.USAGE,
    "InvalidSetting": ExitCode.USAGE,
    "Usage": ExitCode.USAGE,
    "BrokerUnreachable": ExitCode.UNREACHABLE,
    "AgentUnreachable": ExitCode.UNREACHABLE,
    "CannotRehearse": ExitCode.UNREACHABLE,
    "TlsRefused": ExitCode.UNREACHABLE,
    "LoginRefused": ExitCode.UNREACHABLE,
    "NoManagementApi": ExitCode.UNREACHABLE,
    "RabbitMQMissing": ExitCode.UNREACHABLE,
    "LockHeld": ExitCode.LOCKED,
    "LockLost": ExitCode.LOCKED,
    "WouldOverwrite": ExitCode.REFUSED,
    "UnsafePlan": ExitCode.REFUSED,
    "NotForThis": ExitCode.REFUSED,
    "UnprotectedPod": ExitCode.REFUSED,
    "RotationUnderWay": ExitCode.REFUSED,
}


def exit_code_of(error: BaseException) -> ExitCode:
    """The exit code for an error, by its class or the nearest base class that has one."""
    for base in type(error).__mro__:
        code = BY_ERROR.get(base.__name__)
        if code is not None:
            return code
    return ExitCode.FAILED
