"""Does what comes in still look like what the deployed model was built on, and is any file broken?

Begin with state.py, what a run does; monitor.py tests for drift, quality.py finds broken files.
"""
