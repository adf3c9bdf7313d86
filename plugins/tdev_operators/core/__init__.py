"""The rules of maintenance in plain Python: no Airflow, no boto3, no clock of its own."""
