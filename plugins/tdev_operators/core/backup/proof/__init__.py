"""Proof: a set is restored from the bucket alone, on a disposable server, and held against what the source was."""
