-- a row: whether a later state of this item was decided on before; none when this decision was taken already
INSERT INTO maintenance.decisions (key, item, as_of)
VALUES (%(key)s, %(item)s, %(as_of)s)
ON CONFLICT (key) DO NOTHING
RETURNING (
    SELECT coalesce(bool_or(later.as_of > %(as_of)s), false)
    FROM maintenance.decisions AS later
    WHERE later.item = %(item)s
) AS outdated;
