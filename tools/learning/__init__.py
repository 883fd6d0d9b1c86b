"""What `tools/nano_learning.py` makes of its runs: a table, figures as JSON, curves."""
