"""What was decided, what each list predicted of each client, who was called, and what came of it.

Begin with history.py, the decisions, and scores.py, the lists; both keep SQLite files by sqlite.py.
"""
