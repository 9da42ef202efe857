"""The charts, and manifests patched by `letrade-topo k8s patch`, at a real API server of Kubernetes."""
