"""R-Zero (arXiv:2508.05004): the code that only this game uses."""
