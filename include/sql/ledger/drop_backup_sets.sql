-- no rows: forgets the sets of a system that no longer stand in the bucket
DELETE FROM maintenance.backup_sets
WHERE system = %(system)s AND NOT set_id = ANY(%(kept)s::text[]);
