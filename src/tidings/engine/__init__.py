"""What awaits: journal, publisher, gossip, reading, upkeep. Start with `log`, then `publisher`.

The engine knows the core and the ports, no store and no face.
"""
