-- no rows: the size of an agent that nobody changed since it was looked at
UPDATE agents
SET
    size_kb = %(size_kb)s,
    updated_at = clock_timestamp()
WHERE
    id = %(id)s::uuid
    AND updated_at = %(seen)s::timestamptz
