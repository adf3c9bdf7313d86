"""How the database did since yesterday, against what it usually does (guide: performance analysis)."""
