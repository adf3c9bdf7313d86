"""`[compliance]` of the settings."""

from tdev_operators.core.setting_types import Section


class ComplianceSettings(Section):
    """`[compliance]`: the file of controls, beside the settings; empty: the shipped one."""

    profile: str = ""
