"""Back-ups that are proven: what a set is, how it is taken, read back, restored and compared, kept and removed."""
