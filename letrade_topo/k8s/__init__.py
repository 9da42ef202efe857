"""The agent as a native sidecar in Kubernetes manifests: for people without Helm, with the library chart's own result.

Text in, text out: no cluster, no file, no topology is known here.
"""
