"""What this machine has, what a run needs, whether it fits, and what doctor checks."""
