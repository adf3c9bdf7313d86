"""Limits of the health check: the `[health...]` tables of the settings."""

from tdev_operators.core.setting_types import Section, Seconds


class HealthSettings(Section):
    """`[health]`: what the whole check may cost."""

    check_timeout_seconds: Seconds
    confirm_pause_seconds: Seconds
