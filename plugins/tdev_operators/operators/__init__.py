"""The Airflow face of the package: operators, the calendar's timetable, deadlines. Thin: rules live in `core`."""
