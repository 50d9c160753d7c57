"""Questions put to single items: who solves what, and whether two models differ on the same items."""
