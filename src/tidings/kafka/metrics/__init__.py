"""What a broker tells those who operate it: metrics, health, readiness; docs/operations.md."""
