"""Published benchmarks, and files of tasks of one's own."""
