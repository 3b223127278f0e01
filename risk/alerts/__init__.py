"""Who has to be sent what, and did it arrive?

Begin with due.py, which finds what is due; messages.py keeps and sends it.
"""
