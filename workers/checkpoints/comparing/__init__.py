"""Two checkpoints beside each other, number by number.  Torch-free."""
