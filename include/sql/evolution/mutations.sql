-- A row is a mutation with the agents that had it in the 7 days that end %(days_ago)s days ago: how many evaluations
-- and agents; and over agents, sum and sum of squares of by how much their fitness with it is above its generation's
-- mean. Of the two rows without a name one is of all evaluations, the other of those without any mutation.
WITH scored AS (
    SELECT
        agent_id,
        array(SELECT DISTINCT unnest(mutations)) AS mutations,
        (fitness_score - avg(fitness_score) OVER (PARTITION BY generation))::float8 AS gain
    FROM evolution_history
    WHERE
        timestamp > now() - (%(days_ago)s::float8 + 7) * interval '1 day'
        AND timestamp <= now() - %(days_ago)s::float8 * interval '1 day'
        AND fitness_score <> 'NaN'
),

labelled AS (
    SELECT
        scored.agent_id,
        scored.gain,
        mutation,
        false AS is_whole
    FROM scored
    CROSS JOIN unnest(scored.mutations) AS mutation
    UNION ALL
    SELECT
        agent_id,
        gain,
        null AS mutation,
        true AS is_whole
    FROM scored
    UNION ALL
    SELECT
        agent_id,
        gain,
        null AS mutation,
        false AS is_whole
    FROM scored
    WHERE cardinality(mutations) = 0
),

-- One agent is evaluated again and again: its evaluations are one witness, not many.
by_agent AS (
    SELECT
        mutation,
        is_whole,
        agent_id,
        count(*) AS evaluations,
        avg(gain) AS gain
    FROM labelled
    GROUP BY mutation, is_whole, agent_id
)

SELECT
    mutation,
    is_whole,
    sum(evaluations)::bigint AS evaluations,
    count(*) AS agents,
    sum(gain) AS gain,
    sum(gain * gain) AS squares
FROM by_agent
GROUP BY mutation, is_whole
ORDER BY mutation NULLS FIRST, is_whole DESC
