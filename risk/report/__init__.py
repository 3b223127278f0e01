"""Puts what the pages say into files to forward, report.html and report.pdf, and draws a replay.

Begin with contents.py (all values of a report), then html.py and pdf.py, which lay them out.
"""
