"""
Invert stage: `pair` draws seeds and targets and needs no torch, `images` leads from the one to the other, `published`
takes images that others inverted.
"""
