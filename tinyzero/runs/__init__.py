"""A run is a folder: what is in it, how it gets there whole, how it goes on, and what a view sees of it."""
