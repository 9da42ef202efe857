"""Properties that hold for every topology and every state, by hypothesis."""
