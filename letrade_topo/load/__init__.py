"""From `topology.yaml` to the model, or to all that is wrong with the file, with file, line and column."""
