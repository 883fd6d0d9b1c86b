"""What watches a run: dashboard, plain lines, JSON lines, trackers, reports, and the logs in its folder."""
