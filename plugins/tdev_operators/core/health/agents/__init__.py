"""The agents: registry, bucket, limits, sources."""
