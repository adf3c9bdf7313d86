"""The weekly audit: who may do what, what lies open, what changed since somebody accepted it."""
