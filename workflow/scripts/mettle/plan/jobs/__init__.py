"""What each job is told: its inputs, and the parameters that its numbers depend on."""

from mettle.plan.jobs.comparison import Comparison
from mettle.plan.jobs.data import Data
from mettle.plan.jobs.evaluation import Evaluation
from mettle.plan.jobs.training import Training


class Jobs(Data, Training, Evaluation, Comparison):
    """Input and params functions of the rules.

    Methods with a `wildcards` argument are such functions; any object or mapping with the wildcards' names will do.
    """
