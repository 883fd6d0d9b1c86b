"""A run is a folder: what is in it, how it gets there whole, and how a run goes on from it."""
