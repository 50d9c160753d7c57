"""Peers: environments of their own, and the processes that run them."""
