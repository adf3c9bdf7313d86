"""What grows, how fast, and when it meets its limit (guide: capacity planning)."""
