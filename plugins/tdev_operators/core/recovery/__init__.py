"""Recovery: which set is used, restoring it beside the live system, taking its place, and the way back."""
