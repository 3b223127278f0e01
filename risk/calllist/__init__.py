"""Which clients are to be called, why, and what that is expected to bring?

Begin with types.py, the list as everybody takes it; ranking.py makes it, facts.py tells it.
"""
