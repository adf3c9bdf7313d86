"""The page inside Airflow's user interface."""
