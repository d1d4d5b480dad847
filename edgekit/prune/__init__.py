"""Structured pruning: which channels hang together, which matter, what layers cost, and winning back what was lost."""
