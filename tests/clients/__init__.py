"""Client libraries by their defaults: programs as the libraries' own documentation writes them, beside an agent."""
