"""The object store of claim checks. It knows fsspec, and nothing of messages or brokers."""
