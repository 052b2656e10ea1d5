# SPDX-License-Identifier: GPL-3.0-or-later
"""Built-in losses written once more with torch, for forward_backward_custom. Formulas: those of the losses' public docs."""

CLIP = {"clip_low_threshold": 0.8, "clip_high_threshold": 1.2}
TOKENS = list(b"twins step alike")
# As if sampled by a model that is a little off; the differences straddle the clip range.
SHIFTS = [0.15 * ((index % 5) - 2) for index in range(len(TOKENS))]
ADVANTAGES = [(0.0, 1.0, -0.5, 2.0, 0.25, -1.0, 1.5, 0.5)[index % 8] for index in range(len(TOKENS))]
WEIGHTS = [(0.0, 0.5, 1.0, 2.0, -1.0)[index % 5] for index in range(len(TOKENS))]


def twin(name, sampled):
    """(data, logprobs) → (loss, metrics) for one datum; torch is imported late, for only one label has it."""
    import torch

    def loss(data, logprobs):
        lp = logprobs[0]
        q, a, w = (torch.tensor(values, dtype=torch.float32) for values in (sampled, ADVANTAGES, WEIGHTS))
        if name == "cross_entropy":
            value = -(w * lp).sum()
            return value, {"mine": float(value)}
        ratio = torch.exp(lp - q)
        clipped = torch.clamp(ratio, 0.8, 1.2)
        value = {"importance_sampling": lambda: -(ratio * a).sum(),
                 "ppo": lambda: -torch.minimum(ratio * a, clipped * a).sum(),
                 "cispo": lambda: -(clipped.detach() * lp * a).sum(),
                 "dro": lambda: -(lp * a - 0.5 * 0.05 * (lp - q) ** 2).sum()}[name]()
        return value, {"mine": float(value)}

    return loss


CONFIG = {"cross_entropy": None, "importance_sampling": None, "ppo": CLIP, "cispo": CLIP, "dro": {"beta": 0.05}}
