"""One database of a back-up set: its snapshot, its dump, and the proof of what it held."""
