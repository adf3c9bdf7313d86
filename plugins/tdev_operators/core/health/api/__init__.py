"""The HTTP API, asked with GET only."""
