"""The container image, without an engine: its file is linted, its steps run in a clean folder."""
