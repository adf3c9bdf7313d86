"""Maintenance of a production system as an Airflow package: the calendar stands in dags/, the rules in `core`."""

__version__ = "0.1.0"
