"""The inside of `sandbox/fault_proxy.py`: rules, framing and the two proxies."""
