"""Which rows are there, and which of their labels may be used: from CSV files to one snapshot.

Begin with snapshot.py, which everybody above reads; intake.py and store.py say how rows got there.
"""
