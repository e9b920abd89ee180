"""Stages: one module or package for each, which its rules call. They import primitives, and share only files."""
