"""What the controller's threads share: looking for work, and keeping leases."""
