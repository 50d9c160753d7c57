"""Methods that add up thinned task vectors: which entries each keeps, and the sum of what is left."""
