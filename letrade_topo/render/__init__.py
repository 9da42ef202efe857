"""From values to text: plans, results and diagnostics in every format."""
