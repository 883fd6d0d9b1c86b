"""A run on disk: its folder, its files, how they are written whole, and how a run goes on."""
