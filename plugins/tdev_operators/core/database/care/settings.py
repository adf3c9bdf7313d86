"""`[care]`: when a table is vacuumed or analyzed, when an index is rebuilt, and how gently."""

from typing import Annotated

from pydantic import Field

from tdev_operators.core.setting_types import Count, Percent, Positive, Section, Text

Workers = Annotated[int, Field(ge=1, le=16)]


class IndexCareSettings(Section):
    """`[care.indexes]`."""

    minimum_mb: Positive  # smaller indexes are not worth a rebuild
    estimated_waste_percent: Percent  # from this estimate on, an index is measured
    leaf_density_percent: Percent  # measured below this, it is rebuilt; a new one has 90
    rebuild_on_estimate: bool  # where pgstattuple is not installed
    rebuild_at_once: Annotated[int, Field(ge=1, le=2)]
    lock_wait_minutes: Positive  # of one rebuild for other transactions
    old_transaction_minutes: Positive  # no rebuild begins while a transaction is older
    free_disk_multiple: Positive  # of the index, beside which the new one and its WAL are written
    behind_mb: Positive  # no rebuild begins while a standby or a slot has more WAL to read
    least_mb_a_second: Positive  # the pace by which it is judged whether a rebuild fits into the time
    least_gain_percent: Percent  # an index that gained less the last time, and has not grown, is left alone
    unused_days: Count  # how long the counters must have counted before an index is called unused
    standbys: tuple[Text, ...]  # connections of standbys, whose queries use indexes too


class CareSettings(Section):
    """`[care]`."""

    minutes: Positive  # in which work may begin
    workers: Workers  # sessions that vacuum and analyze at the same time
    always_analyze: tuple[Text, ...]  # as the guide has it
    changed_percent: Percent
    changed_minimum: Count
    dead_percent: Percent
    dead_minimum: Count
    invisible_percent: Percent  # of a table's pages, that an index-only scan has to visit
    invisible_minimum_pages: Count
    freeze_percent: Percent  # of autovacuum_freeze_max_age: before autovacuum is forced to
    hot_changes_per_hour: Positive  # from here on a table is hot, and its end is not cut off
    cost_delay_ms: Annotated[float, Field(ge=0, le=100)]
    cost_limit: Annotated[int, Field(ge=1, le=10_000)]
    yield_seconds: Positive  # a statement of ours for which somebody has waited so long is cancelled
    old_horizon_transactions: Annotated[int, Field(ge=1)]
    indexes: IndexCareSettings
