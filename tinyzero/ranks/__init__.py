"""Several processes play one run: each takes its share of the sampling, of the programs and of the learning.

Every rank holds the same game. Rank 0 writes, draws and decides; the others make its moves, in its order.
"""
