"""Tasks: what a model predicts for an image, what an attack maximises, what tables store, and how it is scored.

Attacks do not depend on tasks, nor tasks on attacks: a `Goal` connects them. `scores` does not import torch, so tables
of scores are made without it.
"""
