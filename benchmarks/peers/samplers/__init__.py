"""Peers that search: each module runs in an environment of its own, without our libraries."""
