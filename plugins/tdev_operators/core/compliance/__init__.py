"""The compliance audit: controls of a profile, held against what the ledger and the store prove."""
