-- One row: the role in whose name we ask.
SELECT current_user AS name
