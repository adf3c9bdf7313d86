"""A whole T-Developer on one machine, for `make up`, tests and benchmarks. The product never imports it."""
