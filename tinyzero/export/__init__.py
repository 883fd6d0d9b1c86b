"""What leaves a run: adapters, merged models, GGUF files and data sets, checked, and their way to the Hub."""
