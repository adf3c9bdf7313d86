-- One row: gives the job's lock back at once; the end of its session, which would too, may take the server a moment.
SELECT pg_advisory_unlock(hashtextextended(%(job)s, 0)) AS released
