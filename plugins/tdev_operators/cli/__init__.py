"""The command `tdev`: works with Airflow dead, takes connections from the environment."""
