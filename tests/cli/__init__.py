"""The command line, as a process and within one."""
