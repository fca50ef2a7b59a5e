"""The log as a Maelstrom node: JSON lines on stdio, the kafka workload, five designs."""
