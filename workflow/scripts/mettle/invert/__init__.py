"""Invert stage: `pair` draws seeds and targets and needs no torch, `images` leads from the one to the other."""
