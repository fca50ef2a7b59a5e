"""The face for Kafka clients: the wire protocol, and the broker behind it."""
