"""A broker's objects back to a topology, and a topology to the formats of others. Pure: text and values in, text out.

The way in is a definitions file, a broker's own export; what asks a live broker for one is the command line.
"""
