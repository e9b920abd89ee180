"""Initial weights of OpenMMLab's modules."""

import logging

from torch import nn


def initialise(module: nn.Module) -> None:
    """Draw the weights of a module as its configuration says, without the page of log that mmengine writes about it."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        module.init_weights()
    finally:
        logging.disable(before)
