"""What of the suites an agent makes end otherwise, and why that is meant: the table in docs/reference/clients.md."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Difference:
    """Tests that pass straight at a broker alone, for one reason.

    Args:
        suite: of which library.
        tests: by name, whatever their class and their parameters are.
        seen: what they see of an agent.
        why: it is meant.
    """

    suite: str
    tests: tuple[str, ...]
    seen: str
    why: str

    def covers(self, suite: str, test: str) -> bool:
        """Whether a test of a suite is one of them."""
        return suite == self.suite and test.partition("[")[0].rpartition("::")[2] in self.tests


_NO_TRANSACTIONS: Final = (
    "`tx.select` is refused: 540",
    "a transaction is all or nothing, and an agent refuses single messages: use publisher confirms",
)

DIFFERENCES: Final = (
    Difference(
        "aio-pika",
        (
            "test_transaction_simple_commit",
            "test_transaction_simple_rollback",
            "test_transaction_simple_async_commit",
            "test_transaction_simple_async_rollback",
        ),
        *_NO_TRANSACTIONS,
    ),
    Difference("amqp091-go", ("TestIntegrationTxCommit", "TestIntegrationTxRollback"), *_NO_TRANSACTIONS),
    Difference(
        "amqp091-go",
        ("TestCorruptedMessageIssue7",),
        "1,024 messages are read, and 50 come",
        "who sets no prefetch and acknowledges nothing gets 50 messages, as nobody's memory is without end; a program "
        "that wants any number says so, with `basic.qos` and 0",
    ),
)


def unexplained(suite: str, tests: Iterable[str]) -> list[str]:
    """Of these tests, those that no difference covers."""
    return [test for test in tests if not any(each.covers(suite, test) for each in DIFFERENCES)]
