-- one row: what holds inside this transaction: a worker that dies keeps nobody waiting for long
SELECT set_config('idle_in_transaction_session_timeout', '10s', true) AS idle
