"""Which entries of a task vector are kept: by magnitude, by chance, by key."""
