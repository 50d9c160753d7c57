"""lm-eval's tasks outside a search: looked up, shown, fetched, and asked of any checkpoint."""
