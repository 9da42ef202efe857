"""What would change, why, and whether it may: a plan is a value before anything is done.

Pure, except for `prepare`, which reads the broker.
"""
