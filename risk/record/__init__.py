"""What was decided, what each client was told and when, who was called, and what came of it.

Begin with history.py, the decisions, and scores.py, the lists; both keep SQLite files by sqlite.py.
"""
