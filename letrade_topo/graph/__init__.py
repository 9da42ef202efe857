"""How messages travel: the graph of a topology and of a live broker, and the way of one message on it.

Pure: what is declared and what a broker holds are values of `letrade_topo.broker`, and both are asked in the same way.
"""
