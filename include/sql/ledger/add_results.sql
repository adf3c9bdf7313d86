-- no rows: writes what the checks of an attempt found, in their order
INSERT INTO maintenance.check_results (attempt_id, position, item, check_name, ended_at, verdict, result)
SELECT
    %(attempt_id)s,
    found.position,
    %(item)s,
    found.result ->> 'check',
    %(ended_at)s,
    found.result ->> 'verdict',
    found.result
FROM jsonb_array_elements(%(results)s) WITH ORDINALITY AS found (result, position);
