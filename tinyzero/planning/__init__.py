"""What a run will cost before it is started: memory, time and disk, from the model's shape alone."""
