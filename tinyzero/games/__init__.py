"""Games: what one step of a method is; a folder for each."""
