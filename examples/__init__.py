"""The demo, and the miniature problem that it solves."""
