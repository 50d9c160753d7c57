"""The declarations of all merge methods, a file per family; `search_spaces.catalogue.methods` joins them."""
