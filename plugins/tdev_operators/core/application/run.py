"""The application's part of the daily analysis: every look once (guide: Performance analysis)."""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tdev_operators.core.application.day import ApplicationDay
from tdev_operators.core.application.looks import all_looks
from tdev_operators.core.items import ItemOutcome
from tdev_operators.core.ledger import ItemStore
from tdev_operators.core.looks import Look, take_all

if TYPE_CHECKING:
    from tdev_operators.core.ports import SystemPorts
    from tdev_operators.core.settings import Settings

_log = logging.getLogger(__name__)


def look_at_application(
    system: "SystemPorts",
    ledger: ItemStore,
    settings: "Settings",
    *,
    progress: Callable[[str], object] = _log.info,
    looks: Sequence[Look[ApplicationDay]] | None = None,
) -> ItemOutcome:
    """Take every look (or those given) that is in scope; one that raises is UNKNOWN and the others go on."""
    looks = all_looks() if looks is None else looks
    day = ApplicationDay(system, settings, ledger, system.clock())
    results, out_of_scope = take_all(looks, day, settings, progress)
    return ItemOutcome(tuple(results), day.at, system.clock(), out_of_scope)
