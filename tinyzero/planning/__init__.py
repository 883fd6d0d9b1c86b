"""What a run will cost before it is started, from the model's shape alone; and what auto comes to."""
