"""What a journal is made of: notes that become durable together, and what was handed out."""
