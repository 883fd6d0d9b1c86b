"""Reports on one or several runs: a self-contained HTML file, and PNG curves."""
