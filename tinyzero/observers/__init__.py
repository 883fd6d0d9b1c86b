"""What watches a run: plain lines, JSON lines, and the logs in the run's folder."""
