"""What the care of the database reports, by name: for `[[silences]]` and `[[out_of_scope]]`."""

ABOUT = {
    "care.tables": "which tables were vacuumed or analyzed, why, and what that removed",
    "care.indexes": "which indexes were estimated, measured, rebuilt: size and leaf density before and after",
    "care.leftovers": "invalid indexes that dead rebuilds left, dropped; those that had to stay",
    "care.horizon": "who keeps VACUUM from removing dead rows: session, prepared transaction, slot, standby",
    "care.unused_indexes": "large indexes that no server used for a month; never dropped by itself",
    "care.duplicate_indexes": "indexes that another one makes superfluous",
    "care.foreign_keys": "foreign keys without an index",
    "care.dry_run": "every statement that would be run",
    "retention.conservation": "the balance over all tables: before = kept + archived + discarded",
    "retention.maintenance_records": "what maintenance measured itself and kept in its ledger for too long",
    "retention.partitions_ahead": "until when there are partitions for rows to come, and rows that fit into none",
    "retention.partitioned": "what `tdev_partition_metrics` did: rows proven the same, how long everybody waited",
    "retention.conversions": "what a conversion has left standing: a former table, or one that was begun and not ended",
    "retention.given_back": "archived rows that were given back, held against their digests",
    "tuning.database": "recommended, in the file, running: where they differ, and what waits for a reload or a restart",
    "tuning.file_errors": "lines of the server's files with which it would not start, and lines that are void",
    "tuning.pools": "whether the application's clients fit through its pools into the database's connections",
    "tuning.application": "the application's own configuration, by its API, against what is recommended",
    "tuning.effect": "the day before the last change beside the day after",
    "tuning.applied": "what a run of `tdev_apply_tuning` changed, took back or left half-done",
    "performance.samples": "whether today's figures were kept, for the comparisons of later days",
    "performance.top_statements": "which statements the server's time goes to",
    "performance.regressions": "statements that take longer than they usually do",
    "performance.new_statements": "statements that were not there before and already cost much",
    "performance.temp_files": "how much is written to temporary files, and by whom",
    "performance.lock_waits": "deadlocks since the last sample, and who waits for a lock now",
    "performance.checkpoints": "how many checkpoints come before their time",
    "performance.replication_lag": "how far the standbys are behind",
    "performance.growth": "tables and indexes that grow faster than they should",
    "capacity.database": "when the database reaches its limit",
    "capacity.tables": "how the largest tables grow",
    "capacity.buckets": "how the buckets grow, in bytes and objects",
    "capacity.wal": "how the daily volume of WAL grows",
    "capacity.connections": "when the connections run out",
    "capacity.disk": "when the disks of the database's host are full",
}
AREAS = tuple({f"{name.partition('.')[0]}.*" for name in ABOUT})


def is_named(pattern: str) -> bool:
    """Whether a name of the settings, exact or `performance.*`, means something that is reported here."""
    # Each table of `[[retention.rules]]` has a result of its own name.
    return pattern in ABOUT or pattern in AREAS or pattern.startswith("retention.")
