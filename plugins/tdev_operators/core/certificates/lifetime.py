"""How much of a certificate's life is left, and what that means.

Long-lived ones are judged by days, as the guide has it. Short-lived ones are judged by the fraction of their lifetime
that is left: the longest that a public CA may issue falls to 47 days by 2029, and fixed days would be wrong for them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from cryptography import x509

from tdev_operators.core.health.findings import judge
from tdev_operators.core.health.settings import SecurityHealth
from tdev_operators.core.verdicts import Measurement, Verdict

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Life:
    """The life of a certificate, seen at a moment."""

    begins: datetime
    ends: datetime
    now: datetime

    @classmethod
    def of(cls, certificate: x509.Certificate, now: datetime) -> Self:
        """Return the life of a certificate."""
        return cls(certificate.not_valid_before_utc, certificate.not_valid_after_utc, now)

    @property
    def days(self) -> float:
        """How long it was made for."""
        return max((self.ends - self.begins).total_seconds(), 1.0) / _DAY

    @property
    def days_left(self) -> float:
        """Below zero once it has expired."""
        return (self.ends - self.now).total_seconds() / _DAY

    @property
    def percent_left(self) -> float:
        """Of its lifetime."""
        return 100 * self.days_left / self.days

    @property
    def begun(self) -> bool:
        """Whether it is valid already."""
        return self.begins <= self.now

    def is_short(self, limits: SecurityHealth) -> bool:
        """Whether the fraction counts, and not the days."""
        return self.days < limits.short_lived_below_days

    def is_due(self, limits: SecurityHealth) -> bool:
        """Whether it should be renewed: below the guide's 30 days, a short-lived one below a third of its life."""
        if self.is_short(limits):
            return self.percent_left < limits.short_lived_left_percent.warning
        return self.days_left < limits.certificate_days.critical

    def verdict(self, limits: SecurityHealth) -> Verdict:
        """CRITICAL when it is over, has not begun, or its renewal is failing; WARNING when its renewal is due."""
        if self.days_left <= 0 or not self.begun:
            return Verdict.CRITICAL
        if self.is_short(limits):
            return judge(self.percent_left, limits.short_lived_left_percent)
        return judge(self.days_left, limits.certificate_days)

    def sentence(self, whose: str) -> str:
        """Return what is left, for people."""
        if self.days_left <= 0:
            return f"The certificate of {whose} expired {-self.days_left:.1f} days ago ({self.ends:%Y-%m-%d})."
        if not self.begun:
            return f"The certificate of {whose} is not valid before {self.begins:%Y-%m-%d %H:%M} UTC."
        return (
            f"{whose} has {self.days_left:.0f} of {self.days:.0f} days left ({self.percent_left:.0f} %), "
            f"until {self.ends:%Y-%m-%d}."
        )

    def measurements(self, whose: str, limits: SecurityHealth) -> tuple[Measurement, Measurement]:
        """Return days and fraction left; the one that counts has the limits."""
        short = self.is_short(limits)
        days, percent = limits.certificate_days, limits.short_lived_left_percent
        return (
            Measurement(
                f"{whose} lifetime left",
                round(self.days_left, 2),
                "days",
                *((None, None) if short else (days.warning, days.critical)),
            ),
            Measurement(
                f"{whose} fraction left",
                round(self.percent_left, 2),
                "%",
                *((percent.warning, percent.critical) if short else (None, None)),
            ),
        )
