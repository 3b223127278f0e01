"""Is the deployed model to be replaced, by which one, and on what evidence?

Begin with decision.py (what is decided, in words) and judgement.py (the rule), beside
docs/decisions.md; a run enters by evaluation.py.
"""
