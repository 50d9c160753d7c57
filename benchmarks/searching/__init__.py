"""Both sides of the search benchmark: problems, contestants, runs, pictures."""
