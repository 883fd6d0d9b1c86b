"""Measures how good a policy is, on held-out tasks, before and after training."""
