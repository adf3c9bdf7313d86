"""Care of the agents: made smaller where that is proven to change nothing (guide: Agent Memory Optimization)."""
