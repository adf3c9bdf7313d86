"""The evolution: watched, and recovered when it is stalled."""
