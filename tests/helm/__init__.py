"""The charts, rendered by a real Helm and judged without a cluster."""
