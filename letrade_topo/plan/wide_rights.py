"""Rights that reach queues and exchanges which nobody declared. Pure.

Where a service has too many names to be listed, its permission goes by what they have in common. No declared name of
anybody else is matched; what others have made by hand, or another topology in the same vhost, may be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from letrade_topo.broker.objects import Address, Exchange, Permission, Queue
from letrade_topo.broker.state import LiveState
from letrade_topo.expand.desired import DesiredState, Notice
from letrade_topo.model import names
from letrade_topo.model.pcre import matcher
from letrade_topo.plan.scope import Scope


def wide_rights(
    desired: DesiredState, live: LiveState, scope: Scope, going: Collection[Address] = ()
) -> Iterator[Notice]:
    """One notice for each right of a service that covers live objects which the topology does not declare.

    Args:
        desired: what is declared.
        live: as read.
        scope: what services make at run time is left out.
        going: what the plan deletes.
    """
    undeclared = [
        thing
        for address, thing in live.objects.items()
        if isinstance(thing, Queue | Exchange) and not (address in desired.objects or address in going)
        if not _is_told_of(thing, live, scope)
    ]
    for one in desired.objects.values() if undeclared else ():
        if isinstance(one.object, Permission) and one.path[0] == "services":
            for right in ("write", "read"):
                matches = matcher(getattr(one.object, right))
                reached = [thing for thing in undeclared if matches and matches(thing.name)]
                if getattr(one.object, right) and reached:
                    more = f" and {len(reached) - 1:,} more" if len(reached) > 1 else ""
                    text = (
                        f"the {right} permission of {one.object.user!r} also covers {reached[0].address}{more}, which "
                        "the topology does not declare: its own names are too many to be listed"
                    )
                    yield Notice("wide-permission", text, one.path)


def _is_told_of(thing: Queue | Exchange, live: LiveState, scope: Scope) -> bool:
    """Whether a service may have it anyway, or nobody."""
    if thing.name.startswith((names.RESERVED_PREFIX, names.OWNERSHIP_RECORD_PREFIX)) or not thing.name:
        return True
    return isinstance(thing, Queue) and scope.is_run_time_queue(thing.name, live)
