"""Answers what people and programs ask over HTTP: the pages and the API, from what is on disk.

Begin with pages.py (an address, a template, a view) or api.py (ROUTES); both read context.py.
"""
