"""The daily review of the evolution's figures (guide: Evolution metrics review)."""
