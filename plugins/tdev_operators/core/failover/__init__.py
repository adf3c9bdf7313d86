"""Failing over to the other side: every step reads the world back, and there are never two writable primaries."""
