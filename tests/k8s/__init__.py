"""Tests of the sidecar in manifests without Helm."""
