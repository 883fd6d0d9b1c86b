"""R-Zero (arXiv:2508.05004): all that is this game's alone."""
