"""What the passes must know of a tensor before they run: norms, ranks, products."""
