"""What it takes to look at a search: the server that is looked at, a browser that looks, and a peer."""
