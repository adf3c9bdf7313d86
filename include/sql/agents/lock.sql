-- A row is an agent that nobody changes, and that gets no other version, until the transaction ends.
SELECT agents.id::text AS id
FROM agents
WHERE agents.id = %(id)s::uuid
FOR UPDATE
