"""Reports and alerts: what people read."""
