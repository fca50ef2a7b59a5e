"""The pure heart: what is stored, how it is folded, where records are. Start with `state`.

Nothing here awaits, logs, reads a clock, draws a random number or does I/O.
"""
