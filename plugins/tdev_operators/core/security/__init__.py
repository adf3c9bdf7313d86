"""Security that cannot be falsely green: scanners that prove that they looked, and one ledger of what they find."""
