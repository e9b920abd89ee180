"""Batch normalisation of a model in evaluation mode, folded into the convolutions before it."""

import copy

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import fuse_conv_bn_eval


class Folded(nn.Module):
    """A faster copy of a model beside the model itself.

    Parameters
    ----------
    fast : the model that passes run; equal to `exact` up to rounding
    exact : the model itself, for decisions
    """

    def __init__(self, fast: nn.Module, exact: nn.Module) -> None:
        super().__init__()
        self.fast, self.exact = fast, exact

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the fast copy."""
        return self.fast(images)


def exact(model: nn.Module) -> nn.Module:
    """The model itself, with or without a faster copy beside it."""
    return model.exact if isinstance(model, Folded) else model


@torch.no_grad()
def folded(model: nn.Module, example: Tensor) -> nn.Module:
    """The model with a copy whose convolutions contain the batch normalisations that follow them.

    Parameters
    ----------
    model : in evaluation mode
    example : (n, 3, h, w) images in [0, 1]; both must give the same logits on them, to 1e-3 of the largest

    Returns
    -------
    nn.Module
        `Folded`; the model itself if there is nothing to fold, if torch.fx cannot trace its forward (because it depends
        on the data), or if the logits of the copy differ.
    """
    try:
        fast = fx.symbolic_trace(copy.deepcopy(model))
    except Exception:  # a forward may raise anything when it meets a symbol instead of a tensor
        return model
    if not _fold(fast):
        return model
    expected, found = model(example), fast(example)
    same = torch.allclose(found, expected, rtol=0, atol=1e-3 * float(expected.abs().max()))
    return Folded(fast.eval(), model) if same else model


def _fold(fast: fx.GraphModule) -> int:
    """Fold every pair of convolution and normalisation, in place; returns their number."""
    pairs = 0
    for node in list(fast.graph.nodes):
        if not _is(fast, node, nn.BatchNorm2d) or not _is(fast, node.args[0], nn.Conv2d):
            continue
        conv = node.args[0]
        if len(conv.users) > 1:
            continue
        fused = fuse_conv_bn_eval(fast.get_submodule(conv.target), fast.get_submodule(node.target))
        fast.set_submodule(conv.target, fused)
        node.replace_all_uses_with(conv)
        fast.graph.erase_node(node)
        pairs += 1
    fast.delete_all_unused_submodules()
    fast.recompile()
    return pairs


def _is(fast: fx.GraphModule, node: fx.Node, kind: type[nn.Module]) -> bool:
    return node.op == "call_module" and isinstance(fast.get_submodule(node.target), kind)
