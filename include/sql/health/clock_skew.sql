-- One row: the database server's clock at this moment.
SELECT clock_timestamp() AS server_time
