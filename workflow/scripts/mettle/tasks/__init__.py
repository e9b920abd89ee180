"""Tasks: what is to be predicted of an image, what an attack raises, what is kept of an answer, and how it is scored.

Attacks know no task, and tasks know no attack: the two meet in a `Goal`. `scores` needs no torch, so that tables of
scores are made without it.
"""
