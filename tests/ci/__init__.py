"""The recipes for pipelines in `ci/`, with their shell steps run against a real broker."""
