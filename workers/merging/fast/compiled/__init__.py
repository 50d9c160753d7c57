"""How Python loops become machine code, and what they do to one entry."""
