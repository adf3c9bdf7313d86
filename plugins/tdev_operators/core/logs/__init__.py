"""Logs: counted by pattern, held against what is usual, and rotated without loss (guide: Log Management)."""
