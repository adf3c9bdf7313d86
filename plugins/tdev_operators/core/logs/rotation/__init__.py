"""Rotation of logs by logrotate: its configuration from the settings, put on the hosts, and proven by its effect."""
