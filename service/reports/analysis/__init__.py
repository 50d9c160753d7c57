"""What a search's numbers say of its space and of its machine: importance, correlation, timelines."""
