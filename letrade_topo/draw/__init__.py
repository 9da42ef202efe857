"""The graph drawn: as an SVG picture, a page for a browser, Mermaid, DOT and JSON. Text out, nothing else."""
