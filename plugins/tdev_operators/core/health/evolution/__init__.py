"""Pace and quality of the generations."""
