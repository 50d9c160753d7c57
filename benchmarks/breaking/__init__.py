"""Controllers as processes, what is done to them, and what must come of it all the same."""
