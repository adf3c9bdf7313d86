-- a row: a sample of this kind that was taken since then, the oldest first; with a limit, the newest so many
SELECT newest.taken_at, newest.facts
FROM (
    SELECT samples.taken_at, samples.facts
    FROM maintenance.samples
    WHERE samples.system = %(system)s AND samples.kind = %(kind)s AND samples.taken_at >= %(since)s
    ORDER BY samples.taken_at DESC
    LIMIT %(at_most)s
) AS newest
ORDER BY newest.taken_at;
