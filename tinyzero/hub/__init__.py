"""Takes a run home: adapters, merged models, GGUF files and data sets, whole and checked, and the Hub."""
