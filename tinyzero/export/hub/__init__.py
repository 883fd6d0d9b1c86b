"""Pushes finished folders to the Hugging Face Hub: the plan, the commit, and what a failure means."""
