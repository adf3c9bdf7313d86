"""Turning a table into one of partitions, while it is in use, with a proof and a way back."""
