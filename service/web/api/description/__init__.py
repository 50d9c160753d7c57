"""The interface as it describes itself: OpenAPI, with examples."""
