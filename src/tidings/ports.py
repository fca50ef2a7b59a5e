"""The ports: what the engine asks of the outside. Their docstrings are the contract."""
