"""What the broker itself could not dead-letter, because the target was deleted by hand: it goes on by itself.

RabbitMQ tries again every three minutes; the promise is four. There is no short form of that.
"""

from __future__ import annotations

import time
from enum import Enum
from pathlib import Path

import pytest

from tests.brokers import RunningBroker
from tests.soak.agents.ends import LoadPublisher
from tests.soak.agents.world import QUEUE, CampaignWorld, running_world, until
from tests.soak.conftest import Summarise
from tests.soak.retries.fates import Fate, fate_of
from tests.soak.retries.world import BookedService, books, running_service, settled_books, waiting_messages, with_ladder
from tests.topologies import Document

RATE, MESSAGES = 100, 200
DELAY_SECONDS = 8
"""Long enough to delete the queue behind the delay while messages wait in it."""
PROMISED_SECONDS = 240
STUCK_SECONDS = 5.0
"""So long the broker has tried in vain when the target comes back."""


class Deleted(Enum):
    """What is deleted by hand."""

    RETRY_EXCHANGE = "exchanges/{vhost}/letrade.retry"
    REJECTED_QUEUE = "queues/{vhost}/" + f"{QUEUE}.rejected"
    CONSUMER_QUEUE = "queues/{vhost}/" + QUEUE


@pytest.mark.long_form
@pytest.mark.parametrize("deleted", list(Deleted), ids=lambda one: one.name.lower())
def test_the_broker_goes_on(broker: RunningBroker, deleted: Deleted, tmp_path: Path, summarise: Summarise) -> None:
    """Nothing is lost, and everything is settled within four minutes of the target's return."""
    with running_world(broker, tmp_path, document=_document) as world, running_service(world) as service:
        shop = world.agent("shop")
        if deleted is not Deleted.CONSUMER_QUEUE:
            _delete(world, deleted)
        publisher = world.publisher(shop, rate=RATE)
        until(lambda: publisher.sent >= MESSAGES, "so many are published")
        publisher.finish()
        publisher.wait()
        until(lambda: _all_taken(service, publisher), "what is not rejected is taken")
        if deleted is Deleted.CONSUMER_QUEUE:
            until(lambda: set(waiting_messages(world)) == {f"{QUEUE}.retry.1"}, "the others wait for their retry")
            _delete(world, deleted)
            time.sleep(DELAY_SECONDS)  # the delay is over, and there is no queue behind it
        time.sleep(STUCK_SECONDS)
        stuck = books(world, service, publisher).missing
        assert stuck, "everything went its way, as if nothing were deleted"
        world.tool.run("apply", "--yes").check(0)
        done, spent = settled_books(world, service, publisher)
        assert not done.misled
        assert spent < PROMISED_SECONDS
        doubles = done.taken_twice + done.dead_twice
        summarise(
            f"{deleted.name.lower().replace('_', ' ')} deleted",
            world.broker.version,
            f"{len(done.confirmed)} confirmed, {len(stuck)} of them stuck, lost {len(done.missing)}, doubles {doubles};"
            f" all was settled {spent:.0f} s after the return",
        )


def _document(vhost: str) -> Document:
    return with_ladder(vhost) | {"retry": {"max_retries": 1, "delay": f"{DELAY_SECONDS}s"}}


def _delete(world: CampaignWorld, deleted: Deleted) -> None:
    path = deleted.value.format(vhost=world.vhost)
    assert world.broker.api("DELETE", f"/api/{path}").status_code == 204


def _all_taken(service: BookedService, publisher: LoadPublisher) -> bool:
    taken = {number for number, _ in service.taken()}
    return {number for number in publisher.confirmed.numbers() if fate_of(number) is Fate.TAKEN} <= taken
