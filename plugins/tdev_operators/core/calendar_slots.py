"""Which items of the maintenance calendar are due in which slot: pure functions of time.

An item has a cron expression (UTC). A tier's slots are all moments that any of its items names.
"""
