"""Campaigns: what a short test cannot show. `script/soak` runs the long forms."""
