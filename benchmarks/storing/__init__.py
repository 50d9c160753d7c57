"""Both sides of the store benchmark."""
