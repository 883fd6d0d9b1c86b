"""The games. A game defines one step of its method; each game has its own folder."""
