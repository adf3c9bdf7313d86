"""Hosts, names, clocks and stores."""
