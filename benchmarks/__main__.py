"""`make bench`: every benchmark, one table."""

from benchmarks import health_check, parsing
from benchmarks.table import print_table

print_table([*parsing.rows(), *health_check.rows()])
