"""The commands of `evomerge`, one file per verb or family of verbs."""
