"""Parts of the merge benchmark."""
