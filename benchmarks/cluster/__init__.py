"""Measures brokers that share their stores; see `cluster.run`."""
