"""Probe stage: `training` fits linear heads on frozen features, `agreement` compares heads and needs no torch."""
