"""The `letrade-topo` command: one short module for each subcommand."""
