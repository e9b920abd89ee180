"""
Invert stage: `pair` draws seeds and targets and needs no torch, `images` inverts, `published`
takes images that others inverted.
"""
