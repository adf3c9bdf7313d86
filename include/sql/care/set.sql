-- one row: a setting of this session, as it stands now
SELECT set_config(%(name)s, %(value)s, false) AS value
