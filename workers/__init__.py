"""The GPU side.  Importing the package imports no torch."""
