"""Games: what one round of a method is."""
