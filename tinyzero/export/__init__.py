"""Exports of a run: checked adapters, merged models, GGUF files and data sets, and the push to the Hub."""
