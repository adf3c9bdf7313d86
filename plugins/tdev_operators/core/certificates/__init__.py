"""Certificates: what is served, what stands on disk, what a CA manages; renewed in time and proven to be served."""
