"""Judges a history of a Kafka-style log; see `kafka.check`."""
