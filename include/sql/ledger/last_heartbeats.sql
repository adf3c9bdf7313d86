-- a row: when a run of a tier was last carried to its end
SELECT tier, max(beat_at) AS beat_at
FROM maintenance.heartbeats
GROUP BY tier;
