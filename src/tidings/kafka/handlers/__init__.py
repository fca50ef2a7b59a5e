"""What the broker does with each request: one function for each API, in files by family."""
