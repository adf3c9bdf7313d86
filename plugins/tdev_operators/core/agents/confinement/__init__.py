"""Where agents' code runs: hostile by assumption, behind barriers that were tried before it.

`barriers` and what it is built of run inside the confined process, `zygote` forks one of those for each question,
`probes` tries to break out, `recorder` calls the code; those import the standard library only, for nothing else is
there. `house` is our end.
"""
