"""What tools/benchmark.py measures: races against other implementations, and attacks on the executor."""
