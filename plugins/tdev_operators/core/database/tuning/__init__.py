"""Tuning drift: what the settings recommend, what stands in the server's files, and what runs."""
