"""Dead letters: what a person on call does with them, against real brokers."""
