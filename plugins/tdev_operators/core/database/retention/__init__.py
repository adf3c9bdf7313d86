"""Retention with a receipt: old rows are archived where they must be, proven, removed, and counted for."""
