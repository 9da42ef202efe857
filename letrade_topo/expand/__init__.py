"""From the model to broker objects: what the topology implies, spelled out.

Pure functions of the topology and the broker's capabilities.
"""
