"""Is there anything to do, what happened, is all well: what one run of the driver leaves and asks.

Begin with record.py, what a run leaves on disk; idle.py decides whether one has anything to do.
"""
