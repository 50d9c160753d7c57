"""Parts of the evaluation benchmark."""
