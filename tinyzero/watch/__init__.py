"""Views of a run: dashboard, plain lines, JSON lines, trackers, replays and reports."""
