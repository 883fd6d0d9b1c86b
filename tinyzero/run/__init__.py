"""A run on disk: its folder and files, how they are written without damage, and how a run resumes."""
