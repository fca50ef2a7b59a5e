"""Membership of consumer groups by the classic protocol: who is a member and what it reads.

Pure: events come in with the time, effects go out. `group` is the way in.
"""
