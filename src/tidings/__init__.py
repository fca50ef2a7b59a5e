"""A Kafka-style log that keeps nothing on its nodes."""

__version__ = "0.1.0"
