"""The machine's hardware, the needs of a run, whether the run fits, and the checks of doctor."""
