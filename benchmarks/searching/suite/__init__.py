"""The suite: many problems, every optimizer of ours through the product's own loop, and peers beside them."""
