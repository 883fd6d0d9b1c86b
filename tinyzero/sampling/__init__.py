"""Completions from the policy."""
