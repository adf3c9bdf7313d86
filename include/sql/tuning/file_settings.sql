-- A row is a line of the server's configuration files, in the order in which later ones win.
SELECT
    lines.seqno,
    lines.sourcefile,
    lines.sourceline,
    lines.name,
    lines.setting,
    lines.applied,
    lines.error
FROM pg_file_settings AS lines
ORDER BY lines.seqno
