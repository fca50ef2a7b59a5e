"""Stores that implement the ports, each on its own."""
