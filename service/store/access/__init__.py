"""Who may ask something of the service, and what was asked."""
