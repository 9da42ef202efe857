"""A new folder for a topology: which files, with what in them; writes none and knows no broker."""
