"""Adapters: implement `core.ports` over Airflow connections or the environment. Vendor errors end here."""
