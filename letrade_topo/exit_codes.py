"""What the process's exit code says, and which error means which.

Classes are named by text, so that `letrade-topo --help` does not import the whole package.
"""

from __future__ import annotations

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
    ExitCode.CHANGES: "`plan`: there are changes; `drift`: the broker differs",
    ExitCode.PARTLY_APPLIED: "partly done: some changes are made, some are not; run the command again",
    ExitCode.USAGE: "wrong arguments, options or settings",
    ExitCode.INVALID_FILE: "an invalid topology, key or message file, a missing secret, or an edited plan",
    ExitCode.UNREACHABLE: "the broker cannot be reached, its certificate is not trusted, or it refused the login",
    ExitCode.LOCKED: "another run holds the lock",
    ExitCode.REFUSED: "a guard refused, or a saved plan is stale; nothing was changed",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C; run the command again",
}

BY_ERROR = {
    "InvalidTopology": ExitCode.INVALID_FILE,
    "TopologyRefused": ExitCode.INVALID_FILE,
    "MissingSecret": ExitCode.INVALID_FILE,
    "InvalidPlanFile": ExitCode.INVALID_FILE,
    "InvalidKeySet": ExitCode.INVALID_FILE,
    "InvalidSchema": ExitCode.INVALID_FILE,
    "InvalidCertificate": ExitCode.INVALID_FILE,
    "InvalidMessageFile": ExitCode.INVALID_FILE,
    "NotAMessage": ExitCode.INVALID_FILE,
    "UnsuitableName": ExitCode.INVALID_FILE,
    "InvalidManifest": ExitCode.INVALID_FILE,
    "InvalidValues": ExitCode.INVALID_FILE,
    "InvalidEndpoint": ExitCode.USAGE,
    "InvalidAllowance": ExitCode.USAGE,
    "InvalidSetting": ExitCode.USAGE,
    "Usage": ExitCode.USAGE,
    "BrokerUnreachable": ExitCode.UNREACHABLE,
    "TlsRefused": ExitCode.UNREACHABLE,
    "LoginRefused": ExitCode.UNREACHABLE,
    "NoManagementApi": ExitCode.UNREACHABLE,
    "RabbitMQMissing": ExitCode.UNREACHABLE,
    "LockHeld": ExitCode.LOCKED,
    "LockLost": ExitCode.LOCKED,
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
