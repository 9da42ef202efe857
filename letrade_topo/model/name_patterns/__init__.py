"""Short regular expressions that match the names of one owner and no other name that is known.

RabbitMQ takes at most 1,024 bytes for a pattern (4.2.8, 4.3.2: rabbit_re), so none may grow with the number of
names. `find_pattern` takes the first of these that is short enough:

1. **listed**: one alternative for each name;
2. **exact**: a radix trie of the names, in which branches that differ in one character alone become a class;
3. **open**: in the trie, subtrees give way to the *shape* of what is below them (`item_[0-9]{5}`) or to a *beginning*
   that nobody else has (`billing\\..*`). Which ones is a trade of bytes against openness, the chance that a name which
   somebody else makes later falls in: of all that fit, about the least open one is taken.

Where not even the loosest one fits, the result says which names are in the way. Pure functions of the names: no
topology, no broker.
"""

from letrade_topo.model.name_patterns.find import (
    LONGEST_PATTERN_BYTES,
    Found,
    NamePattern,
    NoPattern,
    Precision,
    Wanted,
    find_pattern,
    find_patterns,
    fits,
    list_names,
)
from letrade_topo.model.name_patterns.others import Others

__all__ = [
    "LONGEST_PATTERN_BYTES",
    "Found",
    "NamePattern",
    "NoPattern",
    "Others",
    "Precision",
    "Wanted",
    "find_pattern",
    "find_patterns",
    "fits",
    "list_names",
]
