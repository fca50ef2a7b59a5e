"""Membership of consumer groups by the classic protocol: who is in, and who reads what.

Pure: events come in with the time, effects go out. `group` is the way in.
"""
