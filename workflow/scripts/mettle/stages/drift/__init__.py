"""Drift stage: how far attacks on features move the features of a model, and the activations of its blocks."""
