"""Inputs and params of each job: what its results depend on."""

from mettle.plan.jobs.comparison import Comparison
from mettle.plan.jobs.data import Data
from mettle.plan.jobs.evaluation import Evaluation
from mettle.plan.jobs.layers import Layers
from mettle.plan.jobs.publishing import Publishing
from mettle.plan.made import Made


class Jobs(Data, Publishing, Evaluation, Layers, Comparison, Made):
    """Input and params functions of the rules.

    They are the methods with an argument `wildcards`, an object or a mapping with the names of the wildcards.
    """
