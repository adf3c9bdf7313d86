"""Care of the maintained database: vacuum, indexes, retention, tuning, performance, capacity."""
