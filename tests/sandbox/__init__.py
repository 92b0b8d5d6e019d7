"""The outside world for local runs and tests: providers' wire protocols, spoken by one program.

It shares no code with the adapters, signatures included, so that each proves the other.
"""
