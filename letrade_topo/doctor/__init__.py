"""Why something does not work: one check after the other, in the order in which one needs the other. Writes nothing."""
