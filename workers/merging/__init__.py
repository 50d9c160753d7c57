"""Merging: the methods, a plan of which tensors feed which, and the stream that follows it."""
