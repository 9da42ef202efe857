"""What can be wrong with values of the sidecar and with manifests."""

from __future__ import annotations

from letrade_topo.errors import TopoError


class InvalidValues(TopoError):
    """The sidecar's values are not such that it could run, or protect."""


class InvalidManifest(TopoError):
    """A manifest is no YAML, or written such that the sidecar cannot be put into it."""


class UnprotectedPod(TopoError):
    """A pod that the sidecar would not protect."""
