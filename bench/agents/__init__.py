"""What an agent costs: publisher and consumer each straight to the broker, then through one agent each."""
