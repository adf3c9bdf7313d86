"""Certificates, exposure, passwords, logins."""
