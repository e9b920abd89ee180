"""Adversarial training steps as plain loops, from the algorithms in the papers: what ours is timed against."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def pgd_step(model: nn.Module, x: Tensor, y: Tensor, eps: float, alpha: float, steps: int, noise: Tensor) -> float:
    """Loss of one optimiser step on PGD images, Madry et al. 2018; the attack in evaluation mode, from the image."""
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    model.eval()
    delta = torch.zeros_like(x, requires_grad=True)
    for _ in range(steps):
        F.cross_entropy(model(x + delta), y).backward()
        moved = (delta + alpha * delta.grad.sign()).clamp(-eps, eps).detach()
        delta = ((x + moved).clamp(0, 1) - x).requires_grad_(True)
    model.train()
    loss = F.cross_entropy(model((x + delta).detach()), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def trades_step(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, alpha: float, steps: int, noise: Tensor, beta: float = 6
) -> float:
    """Loss of one optimiser step of TRADES, Zhang et al. 2019, algorithm 1."""
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    model.eval()
    attacked = x + noise
    for _ in range(steps):
        attacked = attacked.detach().requires_grad_(True)
        apart = F.kl_div(F.log_softmax(model(attacked), 1), F.softmax(model(x), 1), reduction="sum")
        (gradient,) = torch.autograd.grad(apart, attacked)
        attacked = attacked + alpha * gradient.sign()
        attacked = torch.min(torch.max(attacked, x - eps), x + eps).clamp(0, 1)
    model.train()
    optimizer.zero_grad()
    clean = model(x)
    apart = F.kl_div(F.log_softmax(model(attacked.detach()), 1), F.softmax(clean, 1), reduction="batchmean")
    loss = F.cross_entropy(clean, y) + beta * apart
    loss.backward()
    optimizer.step()
    return loss.item()
