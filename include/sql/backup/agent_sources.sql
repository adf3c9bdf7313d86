-- A row is an agent: the facts of which the key of its source is made.
SELECT
    name,
    version
FROM public.agents
