"""The nodes of a broker and the way to them, without one."""
