"""The daily health check: six areas, one file a check."""
