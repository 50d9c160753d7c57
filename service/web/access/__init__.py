"""Who may ask what of the service."""
