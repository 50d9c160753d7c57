"""Commands about single candidates: try a recipe, try again, ask a prompt."""
