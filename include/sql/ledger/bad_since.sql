-- a row: a check of an item that was not OK at a moment, and the first time of that unbroken streak
SELECT bad.check_name, min(bad.ended_at) AS since
FROM maintenance.check_results AS bad
WHERE
    bad.item = %(item)s
    AND bad.verdict <> 'OK'
    AND bad.ended_at <= %(as_of)s
    AND bad.ended_at > coalesce(
        (
            SELECT max(good.ended_at)
            FROM maintenance.check_results AS good
            WHERE
                good.item = bad.item
                AND good.check_name = bad.check_name
                AND good.verdict = 'OK'
                AND good.ended_at <= %(as_of)s
        ),
        '-infinity'
    )
GROUP BY bad.check_name;
