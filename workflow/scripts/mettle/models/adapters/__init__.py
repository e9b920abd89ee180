"""Adapters to the frameworks of other tasks, one module each, so that nothing else imports them.

Modules here are imported where a model of their task is made or loaded, and need packages that other models do not.
"""
