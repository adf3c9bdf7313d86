-- a row: a tier and an item that ran at least once
SELECT DISTINCT tier, item
FROM maintenance.item_runs
ORDER BY tier, item;
