"""The reference page of what a login needs, from the table that tests hold against real brokers."""

from __future__ import annotations

from letrade_topo.broker.login_rights import TASKS, works
from letrade_topo.broker.reach import Tag

_HEAD = """\
# What a login needs

<!-- Generated from the code by script/reference: edit letrade_topo/broker/login_rights.py, not this page. -->

On a broker that is somebody else's to administer (Amazon MQ, a shared plan, a platform team's cluster) the login has
one or two of RabbitMQ's management tags, and permissions in a vhost. The tool finds out by itself how far that
reaches (`GET /api/whoami`), says so in the plan, does what it can, and leaves nothing half done: what it cannot look
at is neither planned nor compared, and named in one line.

```text
Scope: the vhost alone, as the login has the tag management; only read are vhosts, …
…
Plan: 12 to create. Not looked at: permissions (2 declared), topic permissions (4 declared), users (2 declared), …
```

## Tags

Each cell is tried by a user with exactly that tag and all permissions in the vhost, on RabbitMQ 3.10, 4.0 and the
newest. Several tags add up.
"""

_TAIL = """
- **yes**: planned, applied, compared by `drift`, watched, destroyed.
- **read**: compared. What differs is a finding (`out-of-reach`) that says who can change it; nothing is written.
- **not looked at**: named in the last line of a plan, in `scope.not_looked_at` of its JSON, and as
  `letrade_topo_not_looked_at_objects` by `watch`. What the ownership record says of it stays as it is.

## `--scope`

`--scope cluster` is what an administrator has by itself; anybody else is told what is missing (exit code 1). `--scope
vhost` is what everybody else has; an administrator may ask for it, to leave users, permissions, the vhost, its limits
and global parameters to others. Passwords of users that are not looked at need not be there. `watch` reads its
passwords at the start unless `--scope vhost` is written out. A plan that was saved by one login is refused to another
one that reaches further or less far.

## Permissions in the vhost

| to do what | configure | write | read |
|---|---|---|---|
| look: `plan`, `drift`, `export`, `watch` | any permission in the vhost, if only an empty one | | |
| the lock and the ownership record | `^letrade-topo\\.` | | |
| make, change or delete a queue or exchange | its name | | |
| … a queue with a dead-letter exchange | its name | that exchange | the queue |
| … an exchange with an alternate exchange | its name | that exchange | the exchange |
| bind | | the queue or exchange bound | the exchange it is bound to |
| policies, parameters | nothing: the tag alone | | |
| `dlq ls`, `dlq show` | | | the queue of dead letters |
| `dlq replay` | | `amq.default`, and the exchange of `--fan-out` | the queue of dead letters |
| `dlq purge` | | | the queue of dead letters |

For a topology whose names all begin with `orders.`, and whose exchange of dead letters is called `letrade.dlq`:

```console
$ rabbitmqctl set_permissions -p shop deploy \\
    '^(orders|letrade|letrade-topo)\\.' '^(orders|letrade)\\.' '^(orders|letrade)\\.'
```

A login cannot ask for its own permissions. So, without the tag `administrator`, `plan` and `apply` try for each queue
and exchange that would change whether it may be written, by a declaration that the broker refuses in any case, after
it has looked at the permissions. What is missing is refused before anything is written. The broker's log has a line
for each such try.

## Where the ownership record is

An administrator's runs keep it as a global parameter. With the scope of a vhost it lies in the vhost, as the argument
of an exchange `letrade-topo.record.TOPOLOGY.NUMBER` that nothing is bound to. There is one record:

- An administrator who runs the same topology takes the record in the vhost over. An exchange without a record stays
  in its place. From then on a login that cannot read global parameters is refused, with the reason; it can still
  `plan` and `drift`.
- An administrator gives it back with `letrade-topo apply --scope vhost`. A login with the tag `policymaker`, which
  reads and writes global parameters, moves it by itself.
- Where an administrator ran first and left nothing in the vhost, another login cannot know. It begins a record of its
  own, and says so; what it finds as declared becomes its own, what it does not is left alone. An administrator's next
  run brings the two together.

A record of 1,000,000 bytes, of about 90,000 objects, was written and read on each version.

## What is otherwise than for an administrator

- Objects are made one by one: RabbitMQ lets nobody else import definitions.
- Consumers of others are known from the broker's statistics, which were up to 8 s late: before a queue goes, `apply`
  waits 12 s in place of 6. Where the statistics say nothing yet, as of a queue that is new, the guard takes it for
  "some".
- A topic exchange is never replaced from RabbitMQ 4.0 on: its topic permissions would go with it, unseen. An
  administrator can.
- Listeners and plug-ins are seen by `monitoring` and `administrator` alone: for others, `tls.required` is not checked
  against the broker's listeners, and a missing plug-in shows when the broker refuses what needs it.
"""


def page() -> str:
    """The page as Markdown."""
    tags = (None, *Tag)
    lines = [_HEAD, f"| | {' | '.join('no tag' if tag is None else f'`{tag}`' for tag in tags)} |"]
    lines.append("|---" * (len(tags) + 1) + "|")
    lines += [f"| {task.name} | {' | '.join(works(task, tag) for tag in tags)} |" for task in TASKS]
    return "\n".join([*lines, _TAIL.rstrip(), ""])
