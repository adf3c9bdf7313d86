"""A stalled evolution: diagnosed, restarted, and proven to make generations again."""
