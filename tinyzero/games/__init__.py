"""Games: what one round of a method is. Each has a module, and a line in the table of `tinyzero.trainer`."""
