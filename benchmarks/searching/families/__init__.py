"""Families of tiny trained checkpoints: a base, experts that were trained further, and tasks to ask them.

Every family is made on the spot in less than a minute on one core, and kept in a folder that is named by
all that its weights depend on.
"""
