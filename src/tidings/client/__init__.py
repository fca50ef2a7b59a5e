"""A small client of Kafka's protocol, for the command line: any broker, no groups, no security."""
