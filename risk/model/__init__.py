"""The model: what a client's risk is, why, and how good that is.

Begin with terms.py (what the log-odds are a sum of) and model.py; fit.py finds and fits the terms.
"""
