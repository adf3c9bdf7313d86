"""The application's side of the daily performance analysis: API, agents, throughput of the evolution."""
