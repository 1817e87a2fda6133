#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes ghm.json: inputs of GHM-C and GHM-R, and what they come to.

No published numbers of GHM exist.  This is a model of mmdetection's GHMC and GHMR, step by
step as its Python has them (a loop over the bins, edges included below and excluded above,
a running average that starts at 0), in decimal arithmetic of 60 digits, that shares nothing
with the library.  Left out is what mmdetection adds to divisors against 0 (1.19e-7).

    ./ghm_model.py >ghm.json
"""

import decimal
import json
import random
from decimal import Decimal

decimal.getcontext().prec = 60
ZERO, ONE = Decimal(0), Decimal(1)


def sigmoid(x):
    return ONE / (ONE + (-x).exp())


def softplus(x):
    return (ONE + x.exp()).ln()


class Classification:
    """g, loss and gradient of an element of GHM-C."""

    def __init__(self, x, t):
        self.norm = abs(sigmoid(x) - t)
        self.loss = t * softplus(-x) + (ONE - t) * softplus(x)
        self.gradient = sigmoid(x) - t


class Regression:
    """The same of GHM-R."""

    def __init__(self, x, t, mu):
        d = x - t
        root = (d * d + mu * mu).sqrt()
        self.norm = abs(d / root)
        self.loss = root - mu
        self.gradient = d / root


class Model:
    def __init__(self, case):
        self.case = case
        self.bins = case["bins"]
        self.average = [ZERO] * self.bins

    def edge(self, i):
        return Decimal(i) / Decimal(self.bins)

    def elements(self, step):
        mu = Decimal(self.case.get("mu", 0))
        for x, t in zip(step["inputs"], step["targets"]):
            x, t = Decimal(x), Decimal(t)
            yield Regression(x, t, mu) if self.case["loss"] == "ghmr" else Classification(x, t)

    def run(self, step):
        elements = list(self.elements(step))
        valid = [m > 0 for m in step["mask"]]
        total = Decimal(max(sum(valid), 1))
        momentum = Decimal(self.case["momentum"])
        weights = [ZERO] * len(elements)
        counts = []
        nonempty = 0
        for b in range(self.bins):
            last = b == self.bins - 1
            inside = [
                v and self.edge(b) <= e.norm and (last or e.norm < self.edge(b + 1))
                for v, e in zip(valid, elements)
            ]
            number = sum(inside)
            counts.append(number)
            if number == 0:
                continue
            nonempty += 1
            self.average[b] = momentum * self.average[b] + (ONE - momentum) * number
            for i, is_inside in enumerate(inside):
                if is_inside:
                    weights[i] = total / self.average[b]
        divisor = self.bins if self.case["divisor"] == "all bins" else max(nonempty, 1)
        weights = [w / divisor for w in weights]
        losses = [w * e.loss for w, e in zip(weights, elements)]
        return {
            **step,
            "counts": counts,
            "element_loss": [number_of(loss) for loss in losses],
            "gradient": [number_of(w * e.gradient / total) for w, e in zip(weights, elements)],
            "loss": number_of(sum(losses) / total),
        }

    def is_far_from_edges(self, step):
        """Whether rounding to float leaves every norm in its bin."""
        return all(
            abs(e.norm - self.edge(b)) > Decimal("1e-5")
            for e in self.elements(step)
            for b in range(1, self.bins)
        )


def number_of(x):
    return float(x)


def make_step(generator, case, n):
    """Inputs that float holds exactly."""
    scale, width = (64, 8 * 64) if case["loss"] == "ghmc" else (1024, 256)
    model = Model(case)
    while True:
        targets = (
            [generator.choice([0, 0, 0, 1]) for _ in range(n)]
            if case["loss"] == "ghmc"
            else [generator.randint(-width, width) / scale for _ in range(n)]
        )
        step = {
            "inputs": [generator.randint(-width, width) / scale for _ in range(n)],
            "targets": targets,
            "mask": [generator.choice([1, 1, 1, 0]) if case["masked"] else 1 for _ in range(n)],
        }
        if model.is_far_from_edges(step):
            return step


def make_cases():
    generator = random.Random(2019)
    for loss in ("ghmc", "ghmr"):
        for bins in (1, 3, 10, 30):
            for momentum in (0, 0.75):
                for divisor in ("nonempty bins", "all bins"):
                    if divisor == "all bins" and bins != 10:
                        continue
                    case = {
                        "loss": loss,
                        "bins": bins,
                        "momentum": momentum,
                        "divisor": divisor,
                        "masked": bins != 10,
                    }
                    if loss == "ghmr":
                        case["mu"] = 0.015625 if bins == 3 else 0.25
                    model = Model(case)
                    steps = [make_step(generator, case, 16) for _ in range(3)]
                    case["steps"] = [model.run(step) for step in steps]
                    yield case


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(case) for case in make_cases())
    print('{"cases": [\n' + lines + "\n]}")
