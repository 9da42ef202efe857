"""An answer that says no: what it means, and what to do about it.

RabbitMQ answers 401 to four different things (a wrong login, a missing tag, a missing permission, a
reserved name) and drops the reason of some; `GET /api/whoami` tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass

from letrade_topo.broker_errors import BrokerError, LoginRefused
from letrade_topo.management.answers import Answer
from letrade_topo.management.calls import INCLUDED_TAGS, Call, Right
from letrade_topo.management.endpoint import ManagementEndpoint
from letrade_topo.management.errors import BrokerRefused, MissingRight, NoManagementApi, NotFound, ReservedName
from letrade_topo.management.listings import advice
from letrade_topo.model.names import RESERVED_PREFIX

# rabbit_mgmt_util:is_authorized: the user is known, but has none of the management plugin's tags.
_NOT_MANAGEMENT_USER = "Not management user"
_NO_VHOST_ACCESS = "virtual host"

_PLUGIN_FIX = (
    "check the host, the port and the path (management.path_prefix) in --management, and that the plugin is"
    " enabled: rabbitmq-plugins enable rabbitmq_management"
)


@dataclass(frozen=True, slots=True)
class Caller:
    """As whom the broker knows us.

    Args:
        name: the user.
        tags: its management tags, sorted.
    """

    name: str
    tags: tuple[str, ...]


def no_management_api(answer: Answer, endpoint: ManagementEndpoint) -> NoManagementApi | None:
    """Whether an answer cannot have come from the management API, and why."""
    what = f"what answers at {endpoint.url} is not RabbitMQ's management API"
    if answer.status in range(300, 400):
        return NoManagementApi(what, why=f"it redirects to {answer.location or 'another place'}", fix=_PLUGIN_FIX)
    # The broker itself answers without a body to what it carried out, and to its own breakdowns.
    if answer.is_json or not answer.body or answer.status >= 500:
        return None
    kind = answer.content_type.partition(";")[0] or "something without a type"
    return NoManagementApi(what, why=f"it answered HTTP {answer.status} with {kind}, not JSON", fix=_PLUGIN_FIX)


def login_refusal(answer: Answer, endpoint: ManagementEndpoint) -> BrokerError:
    """What `GET /api/whoami` means when it did not succeed."""
    user = endpoint.username
    what = f"the broker refused to log in user {user!r}"
    if answer.status >= 500:
        return BrokerRefused(what, status=answer.status, reason=answer.reason, fix="the broker's log says more")
    if answer.status != 401:
        return NoManagementApi(
            f"what answers at {endpoint.url} is not RabbitMQ's management API",
            why=f"it does not know /api/whoami (HTTP {answer.status})",
            fix=_PLUGIN_FIX,
        )
    if _NOT_MANAGEMENT_USER in answer.reason:
        return missing_tag("use the management API", Caller(user, ()), Right.MANAGEMENT, answer.reason)
    only_local = "; 'guest' may log in only from the broker's own machine" if user == "guest" else ""
    return LoginRefused(
        what,
        why=f"user or password is wrong, or this user may not log in from here (it said: {answer.reason})",
        fix=f"check --username and --password-file (or LETRADE_TOPO_PASSWORD){only_local}",
    )


def refusal(answer: Answer, call: Call, caller: Caller) -> BrokerError:
    """What a status of 400 or more means, for a caller who is logged in."""
    what = f"the broker refused to {call.doing}"
    match answer.status:
        case 401 | 403:
            return _not_allowed(answer, call, caller)
        case 404 if _may_be_hidden(call, caller):
            return _hidden(answer, call, caller)
        case 404:
            return NotFound(what, status=404, reason=answer.reason)
        case 412:
            fix = "lift the protection first: rabbitmqctl disable_vhost_deletion_protection NAME"
            return BrokerRefused(what, status=412, reason=answer.reason, fix=fix)
        case status if status >= 500:
            return breakdown(answer, call)
        case status:
            return BrokerRefused(what, status=status, reason=answer.reason)


def breakdown(answer: Answer, call: Call) -> BrokerRefused:
    """The broker itself failed: over a listing there are few reasons for it."""
    found = advice(call)
    what = f"the broker refused to {call.doing}"
    if found is None:
        return BrokerRefused(what, status=answer.status, reason=answer.reason, fix="the broker's log says more")
    reason = f"{answer.reason}; {found.why}" if answer.reason else found.why
    return BrokerRefused(what, status=answer.status, reason=reason, fix=found.fix)


def _not_allowed(answer: Answer, call: Call, caller: Caller) -> BrokerError:
    if not INCLUDED_TAGS[call.needs] & set(caller.tags):
        return missing_tag(call.doing, caller, call.needs, answer.reason)
    if call.name.startswith(RESERVED_PREFIX):
        return ReservedName(
            f"the broker refused to {call.doing}",
            why=f"names that begin with {RESERVED_PREFIX!r} are RabbitMQ's own",
            fix="choose another name",
        )
    if call.vhost is not None and _NO_VHOST_ACCESS in answer.reason:
        needed, grant = f"a permission in vhost {call.vhost!r}", "'.*' '.*' '.*'"
    else:
        # Also where the user has no permission in the vhost at all: the broker says the same.
        needed, grant = f"configure, write or read permission in vhost {call.vhost!r}", "CONFIGURE WRITE READ"
    vhost = f"-p {call.vhost!r} " if call.vhost is not None else ""
    return MissingRight(
        f"user {caller.name!r} may not {call.doing}",
        why=f"it needs {needed}; the broker said: {answer.reason}",
        fix=f"grant it: rabbitmqctl set_permissions {vhost}{caller.name} {grant}",
        user=caller.name,
        tags=caller.tags,
        needed=needed,
    )


def _may_be_hidden(call: Call, caller: Caller) -> bool:
    """Whether 404 may mean "not for you": from 4.2.9 and 4.3.3 on so for who may not see the vhost.

    Never for an administrator, who sees every vhost.
    """
    is_blind = not INCLUDED_TAGS[Right.ADMINISTRATOR] & set(caller.tags)
    return call.method == "GET" and call.vhost is not None and is_blind


def _hidden(answer: Answer, call: Call, caller: Caller) -> MissingRight:
    needed = f"a permission in vhost {call.vhost!r}, or the vhost to be there"
    return MissingRight(
        f"user {caller.name!r} may not {call.doing}",
        why=f"it needs {needed}: RabbitMQ answers both with 404; it said: {answer.reason}",
        fix="use an administrator, who sees every vhost, or grant it:"
        f" rabbitmqctl set_permissions -p {call.vhost!r} {caller.name} '.*' '.*' '.*'",
        user=caller.name,
        tags=caller.tags,
        needed=needed,
    )


def missing_tag(doing: str, caller: Caller, right: Right, reason: str = "") -> MissingRight:
    """The refusal of a call for want of a tag.

    Args:
        doing: completes "may not …".
        caller: who.
        right: the tag that is needed.
        reason: the broker's words; empty when it was not even asked.
    """
    has = ", ".join(caller.tags) or "none that counts"
    wanted = " ".join((*caller.tags, right))
    return MissingRight(
        f"user {caller.name!r} may not {doing}",
        why=f"it needs the tag '{right}' and has {has}" + (f"; the broker said: {reason}" if reason else ""),
        fix=f"use a user that has it, or add it: rabbitmqctl set_user_tags {caller.name} {wanted}",
        user=caller.name,
        tags=caller.tags,
        needed=f"the tag '{right}'",
    )
