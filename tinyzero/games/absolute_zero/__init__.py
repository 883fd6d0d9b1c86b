"""Absolute Zero (arXiv:2505.03335): all that is this game's alone."""
