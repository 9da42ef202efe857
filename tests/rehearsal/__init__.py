"""What `enforce` would refuse."""
