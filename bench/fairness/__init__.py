"""What a good client of an agent notices of its neighbours."""
