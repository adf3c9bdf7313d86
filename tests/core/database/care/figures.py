"""Settings of the care for small databases."""

from tdev_operators.core.items import ItemRef

REF = ItemRef("weekly", "tdev_weekly", "manual__1", "database_optimization")
FIGURES = {
    "always_analyze": ("t",),
    "dead_minimum": 10,
    "cost_delay_ms": 0.0,
    "indexes": {"minimum_mb": 0.1, "lock_wait_minutes": 0.05, "unused_days": 0},
}

# Sections of the settings for a server that was started a moment ago, on a machine that nobody watches.
SECTIONS = {
    "care": FIGURES,
    "recovery": {"database_host": ""},
    "health": {"database": {"minimum_statistics_age_hours": 0}},
}
