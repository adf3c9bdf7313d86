"""The disaster recovery drill: a restore in a clean room, timed by phase, with evidence that cannot be rewritten."""
