"""The work of each job, from rows and configuration: passes through networks, images to decode, scores."""

from mettle.plan.work.comparisons import Comparisons
from mettle.plan.work.evaluations import Evaluations
from mettle.plan.work.weights import Weights


class Work(Weights, Evaluations, Comparisons):
    """The work of the jobs of every rule; methods have the names of the rules and take a job's wildcards.

    Parameters
    ----------
    plan : configuration, sheets and recipes
    """
