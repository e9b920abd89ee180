"""Corrupt stage: answers of models to corrupted images, and stores of such images."""
