"""Prompts with images: prepared once per worker, seen once per vision tower, then asked like any others."""
