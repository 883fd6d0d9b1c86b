"""Absolute Zero (arXiv:2505.03335): the code that only this game uses."""
