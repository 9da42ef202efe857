"""One proxied connection as a pure machine: frames in, bytes and effects out."""
