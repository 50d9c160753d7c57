"""Looks inside merges: what every parent gives to every layer, of one candidate or of many."""
