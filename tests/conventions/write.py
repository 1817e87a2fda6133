#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes cases.txt: what the losses of other libraries return, as installed from PyPI, each with
the recipe of bench/conventions.md that gives the same here.  tests/test_conventions.c runs it.

    python3 -m venv v
    v/bin/pip install torch torchvision timm optax 'jax[cpu]' keras transformers kornia monai \\
        fvcore paddlepaddle && v/bin/pip install --no-deps mmdet ultralytics
    v/bin/python tests/conventions/write.py tests/conventions/cases.txt

A package that cannot be imported is named on standard error, and nothing is written then, unless
--partial goes before the path.  Inputs are drawn by a fixed seed; the same versions give the same
file.  Each case is independent of the order and of which other packages there are.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import pathlib
import random
import re
import struct
import sys
import types

sys.dont_write_bytecode = True
os.environ["KERAS_BACKEND"] = "torch"
os.environ["JAX_PLATFORMS"] = "cpu"
ROOT = pathlib.Path(__file__).resolve().parents[2]

import torch  # noqa: E402  (after the backends are chosen)

import formulas  # noqa: E402
from mpmath import mpf  # noqa: E402

F = torch.nn.functional
torch.set_num_threads(1)

# Constants of the library by name, without FGHM_.
CONSTANTS = {
    name: int(value)
    for header in (ROOT / "include/focalghm").glob("*.h")
    for name, value in re.findall(r"\bFGHM_(\w+) = (-?\d+)", header.read_text())
}

# Results of a package are compared in units of its largest one: 64 epsilons of its type, since it
# subtracts p from 1, to which the largest logits here add some e^4.
F64, F32 = 64 * 2.0**-52, 64 * 2.0**-23
SUMS = 2.0**-48  # what the library promises of sums

HEAD = """\
# SPDX-License-Identifier: MIT
#
# What the losses of other libraries return, and the recipe of bench/conventions.md that gives the
# same here.  Written by tests/conventions/write.py, read by tests/test_conventions.c.  Lines are
# those of tests/bindings/cases.txt, and
#
# was ARRAY TOLERANCE BITS...      what the package returned, in double; "loss" is the reduced one.
#                                  The tolerance is a fraction of the largest magnitude among them.
#                                  Where the array here has k times as many numbers, k of them are
#                                  added: those as far apart as the package has numbers.
"""


def bits(value):
    return f"{struct.unpack('>Q', struct.pack('>d', float(value)))[0]:x}"


# Inputs ---------------------------------------------------------------------------------------


class Draw:
    """Inputs of a case; multiples of 1/64, which float holds, too."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def logits(self, *shape, spread=4.0):
        return self._tensor(shape, lambda: self.random.uniform(-spread, spread))

    def soft(self, *shape):
        return self._tensor(shape, lambda: self.random.uniform(0, 1))

    def hard(self, *shape):
        return self._tensor(shape, lambda: self.random.randint(0, 1))

    def weights(self, *shape):
        return self._tensor(shape, lambda: self.random.uniform(0.25, 2))

    def heat(self, *shape):
        """A heat map: every fifth element is a peak, others are below 1."""
        values = self.soft(*shape) * 0.875
        values.view(-1)[::5] = 1.0
        return values

    def labels(self, count, classes):
        """Each class once, as far as they go."""
        values = [k % classes for k in range(count)]
        self.random.shuffle(values)
        return torch.tensor(values)

    def _tensor(self, shape, draw):
        count = 1
        for extent in shape:
            count *= extent
        values = [round(64 * draw()) / 64 for _ in range(count)]
        return torch.tensor(values, dtype=torch.float64).reshape(shape)


# Cases ----------------------------------------------------------------------------------------

def array(name, value, layout="contiguous"):
    """A line "in"; floats where they hold the values, for a shorter file, but not of logits."""
    tensor = value.detach().contiguous().view(-1)
    if tensor.dtype == torch.int64:
        numbers, dtype = [f"{n & (2**64 - 1):x}" for n in tensor.tolist()], "i64"
    elif name != "logits" and torch.equal(tensor, tensor.float().double()):
        numbers, dtype = [struct.pack(">f", n).hex() for n in tensor.tolist()], "f32"
    else:
        numbers, dtype = [bits(n) for n in tensor.tolist()], "f64"
    return f"in {name} {dtype} {layout} {' '.join(numbers)}"


class Writer:
    def __init__(self):
        self.lines, self.row, self.seen = [], "", {}

    def case(
        self, row, call, function, x, *, settings=(), shape=None, strides=None, class_axis=1,
        inputs=(), batch=(), tolerance=F64, why=None, gradient=True, handle="focal", before=(),
        model=None,
    ):
        """One case.  `function` takes the logits, as a tensor that wants a gradient, and returns
        the loss; or, for packages without PyTorch, the loss and its gradient.  settings: name and
        value of a setter, or name alone to clear it.  inputs: lines of array().  before: logits of
        calls before this one, for a handle that remembers them.  model: the formula in the
        package's source, of logits and of the same as constants, in 60 digits: the reduced loss,
        or of reduction none the sum."""
        package = row.split(".")[0]
        version = importlib.metadata.version(package)
        self.seen[row] = self.seen.get(row, 0) + 1
        say = self.lines.append
        say(f"case {row}_{self.seen[row]}")
        say(f"# {package} {version}: {call}")
        if why:
            say(f"# {why}")
        say(handle)
        for setting in settings:
            if isinstance(setting, str):
                say(f"clear {setting}")
            elif isinstance(setting[1], str):
                say(f"set {setting[0]} {CONSTANTS[setting[1]]}")
            elif isinstance(setting[1], int):
                say(f"set {setting[0]} {int(setting[1])}")
            else:
                say(f"set {setting[0]} {bits(setting[1])}")
        extents = tuple(shape or x.shape)
        say("shape " + " ".join(map(str, extents)))
        if class_axis is not None:
            say(f"class_axis {class_axis}")
        for name, value in dict(batch).items():
            if isinstance(value, str):
                value = CONSTANTS[value]
            elif isinstance(value, float):
                value = bits(value)
            elif isinstance(value, (list, tuple)):
                value = " ".join(map(bits, value))
            say(f"{name} {value}")
        self.lines.extend(inputs)
        for earlier in before:
            say(array("logits", earlier))
            say(f"out gradient f64 contiguous {x.numel()}")
            say("call batch")
            function(earlier)
        say(array("logits", x, strides or "contiguous"))
        slope = self._results(function, x, tolerance, gradient, dict(batch), extents, class_axis)
        if model is not None:
            self._model(model, formulas.numbers(x), slope, tolerance)

    def _model(self, model, x, slope, tolerance):
        loss = model(x, x)
        self.lines.append("# and its formula in 60 digits:")
        self.lines.append(f"was loss {SUMS:.3g} {bits(loss)}")
        if slope is not None:
            largest = max(map(abs, slope))
            for got, wanted in zip(slope, formulas.gradient(model, x)):
                if abs(got - wanted) > tolerance * largest:
                    raise SystemExit(f"{self.lines}: {got}, the formula has {wanted}")

    def _results(self, function, x, tolerance, gradient, batch, extents, axis):
        say = self.lines.append
        leaf = x.clone().requires_grad_(True)
        result = function(leaf)
        if isinstance(result, tuple):
            value, slope = (torch.as_tensor(part, dtype=torch.float64) for part in result)
        else:
            value = result
            slope = torch.autograd.grad(value.sum(), leaf)[0] if gradient else None
        count = 1
        for extent in extents:
            count *= extent
        softmax = batch.get("activation") == "SOFTMAX"
        if value.ndim > 0:
            say(f"out element_loss f64 contiguous {count // extents[axis] if softmax else count}")
        if gradient:
            say(f"out gradient f64 contiguous {count}")
        say("call batch")
        name = "loss" if value.ndim == 0 else "element_loss"
        say(f"was {name} {tolerance:.3g} " + " ".join(map(bits, value.detach().view(-1))))
        if gradient:
            say(f"was gradient {tolerance:.3g} " + " ".join(map(bits, slope.reshape(-1))))
        return slope.reshape(-1).tolist() if gradient else None


# Models ---------------------------------------------------------------------------------------


def total(function, *others, divisor=1):
    """A model: the sum of function(x, ...) over all elements, with the numbers of other tensors,
    which repeat."""
    others = [formulas.numbers(other) for other in others]

    def model(x, _):
        return sum(
            function(x[k], *(o[k % len(o)] for o in others)) for k in range(len(x))
        ) / mpf(divisor)

    return model


def total_detached(function, *others, divisor=1):
    """The same of function(x, x as a constant, ...)."""
    others = [formulas.numbers(other) for other in others]

    def model(x, constant):
        return sum(
            function(x[k], constant[k], *(o[k] for o in others)) for k in range(len(x))
        ) / mpf(divisor)

    return model


def total_of_samples(function, classes, *others, divisor=1, inner=1):
    """The same of function(row, ...) over samples; others have something for each."""

    def model(x, _):
        rows = formulas.samples(x, classes, inner)
        return sum(function(row, *(o[k] for o in others)) for k, row in enumerate(rows)) / mpf(
            divisor)

    return model


def linear(x, t, alpha, gamma):
    return formulas.focal(formulas.sigmoid(x), t, alpha, gamma)


# Rows -----------------------------------------------------------------------------------------

ROWS = []


def row(*modules):
    """A function of rows, with what it imports."""

    def add(function):
        ROWS.append((function, modules))
        return function

    return add


SUM = ("reduction", "REDUCTION_SUM")
MEAN_SAMPLES = ("reduction", "REDUCTION_MEAN_SAMPLES")


def normalizer(value):
    return ("reduction", "REDUCTION_NORMALIZER"), ("normalizer", float(value))


def rule(name):
    return ("rule", f"FOCAL_RULE_{name}")


DETACHED = ("detached", True)
LABELS = {"target_form": "TARGET_LABEL"}
BACKGROUND_LAST = {"target_form": "TARGET_LABEL", "background": "BACKGROUND_LAST"}
SCORES = {"target_form": "TARGET_LABEL_SCORE", "background": "BACKGROUND_LAST"}
SOFTMAX = {"activation": "SOFTMAX"}
PROBABILITY = {"activation": "PROBABILITY"}


@row("torchvision")
def torchvision(w):
    from torchvision.ops import sigmoid_focal_loss as loss

    d = Draw(1)
    x, t = d.logits(3, 4), d.soft(3, 4)
    targets = [array("targets", t)]
    w.case("torchvision", "sigmoid_focal_loss(x, t)", lambda x: loss(x, t), x,
           settings=[SUM], inputs=targets,
           model=total(lambda x, t: linear(x, t, 0.25, 2), t))
    w.case("torchvision", "sigmoid_focal_loss(x, t, alpha=0.5, gamma=1.5, reduction='mean')",
           lambda x: loss(x, t, alpha=0.5, gamma=1.5, reduction="mean"), x,
           settings=[("alpha", 0.5), ("gamma", 1.5)], inputs=targets,
           model=total(lambda x, t: linear(x, t, 0.5, 1.5), t,
                       divisor=12))
    w.case("torchvision", "sigmoid_focal_loss(x, t, alpha=-1, reduction='sum')",
           lambda x: loss(x, t, alpha=-1, reduction="sum"), x,
           settings=["alpha", SUM], inputs=targets,
           model=total(lambda x, t: linear(x, t, None, 2), t))


@row("fvcore")
def fvcore(w):
    module = load_alone("fvcore.nn.focal_loss")
    d = Draw(2)
    x, t, y = d.logits(3, 4), d.soft(3, 4), d.hard(3, 4)
    w.case("fvcore", "sigmoid_focal_loss(x, t, reduction='mean')",
           lambda x: module.sigmoid_focal_loss(x, t, reduction="mean"), x,
           settings=["alpha"], inputs=[array("targets", t)], tolerance=F32,
           model=total(lambda x, t: linear(x, t, None, 2), t, divisor=12))
    w.case("fvcore.star", "sigmoid_focal_loss_star(x, y, alpha=0.25, gamma=2, reduction='sum')",
           lambda x: module.sigmoid_focal_loss_star(x, y, alpha=0.25, gamma=2, reduction="sum"), x,
           settings=[rule("STAR"), SUM], inputs=[array("targets", y)], tolerance=F32,
           model=total(lambda x, t: formulas.star(x, t, 0.25, 2), y))


@row("torch")
def pytorch(w):
    d = Draw(3)
    x, t = d.logits(3, 4), d.soft(3, 4)
    targets = [array("targets", t)]
    weight, weight_c = torch.tensor(2.5), d.weights(4)
    w.case("torch.pos_weight", "binary_cross_entropy_with_logits(x, t, pos_weight=2.5)",
           lambda x: F.binary_cross_entropy_with_logits(x, t, pos_weight=weight), x,
           settings=[rule("SPLIT"), ("gamma", 0.0), ("positive_weight", 2.5)], inputs=targets,
           model=total(lambda x, t: formulas.positive_weight(x, t, 2.5), t, divisor=12))
    w.case("torch.pos_weight",
           f"binary_cross_entropy_with_logits(x, t, pos_weight={weight_c.tolist()})",
           lambda x: F.binary_cross_entropy_with_logits(x, t, pos_weight=weight_c), x,
           settings=[rule("SPLIT"), ("gamma", 0.0)], inputs=targets,
           batch={"class_alpha": (weight_c / (1 + weight_c)).tolist(),
                  "class_weights": (1 + weight_c).tolist()},
           model=total(formulas.positive_weight, t, weight_c, divisor=12))

    y, factors = d.labels(4, 4), d.weights(4)
    x, rows = d.logits(4, 4), d.soft(4, 4)
    rows = rows / rows.sum(1, keepdim=True)
    name = "torch.cross_entropy"
    hard = [formulas.one_hot(label, 4) for label in y.tolist()]
    wide_factors = formulas.numbers(factors)

    def smoothed(row, target, smoothing=0.1, factors=None):
        return formulas.categorical(row, formulas.smooth(target, smoothing), 0, factors)

    w.case(name, "cross_entropy(x, y)", lambda x: F.cross_entropy(x, y), x,
           settings=[("gamma", 0.0)], inputs=[array("targets", y)], batch={**SOFTMAX, **LABELS},
           model=total_of_samples(formulas.categorical, 4, hard, divisor=4))
    w.case(name, "cross_entropy(x, y, label_smoothing=0.1, reduction='none')",
           lambda x: F.cross_entropy(x, y, label_smoothing=0.1, reduction="none"), x,
           settings=[("gamma", 0.0), SUM], inputs=[array("targets", y)],
           batch={**SOFTMAX, **LABELS, "label_smoothing": 0.1},
           model=total_of_samples(smoothed, 4, hard))
    ignored = torch.where(torch.arange(4) == 2, -100, y)
    kept = factors[y][ignored >= 0].sum().item()
    counted = (ignored >= 0).tolist()
    of_terms = {"flags": "CLASS_WEIGHTS_OF_TERMS", "class_weights": factors.tolist()}
    w.case(name, f"cross_entropy(x, y, weight={factors.tolist()}, label_smoothing=0.1), "
           "one of y is -100",
           lambda x: F.cross_entropy(x, ignored, weight=factors, label_smoothing=0.1), x,
           settings=[("gamma", 0.0), *normalizer(kept)], inputs=[array("targets", ignored)],
           batch={**SOFTMAX, **LABELS, **of_terms, "label_smoothing": 0.1, "ignore_index": -100},
           model=total_of_samples(
               lambda row, t, counts: counts * smoothed(row, t, factors=wide_factors), 4, hard,
               counted, divisor=kept))
    w.case(name, "cross_entropy(x, y), one of y is -100",
           lambda x: F.cross_entropy(x, ignored), x,
           settings=[("gamma", 0.0), ("reduction", "REDUCTION_MEAN_VALID")],
           inputs=[array("targets", ignored)], batch={**SOFTMAX, **LABELS, "ignore_index": -100},
           model=total_of_samples(
               lambda row, t, counts: counts * formulas.categorical(row, t), 4, hard, counted,
               divisor=3))
    w.case(name, f"cross_entropy(x, rows, weight={factors.tolist()}, label_smoothing=0.1)",
           lambda x: F.cross_entropy(x, rows, weight=factors, label_smoothing=0.1), x,
           settings=[("gamma", 0.0)], inputs=[array("targets", rows)],
           batch={**SOFTMAX, "label_smoothing": 0.1, "class_weights": factors.tolist()},
           model=total_of_samples(
               lambda row, t: smoothed(row, t, factors=wide_factors), 4,
               [formulas.numbers(row) for row in rows], divisor=4))


def asymmetric(t, arguments):
    """The model of AsymmetricLossMultiLabel, for three samples of four classes."""
    of = {"gamma_neg": 4, "gamma_pos": 1, "clip": 0.05, "pos_weight": 1, **arguments}
    detached = of.pop("disable_torch_grad_focal_loss", False)
    reduction, weight = of.pop("reduction", "batchmean"), of.pop("weight", None)
    factors = [1] if weight is None else formulas.numbers(weight)
    targets = formulas.numbers(t)

    def model(x, constant):
        within = constant if detached else x
        return sum(
            factors[k % len(factors)] * formulas.asymmetric(x[k], within[k], targets[k], **of)
            for k in range(12)
        ) / {"batchmean": 3, "mean": 12, "sum": 1, "none": 1}[reduction]

    return model


@row("timm")
def timm(w):
    from timm.loss import AsymmetricLossMultiLabel, AsymmetricLossSingleLabel

    d = Draw(4)
    x, t, factors = d.logits(3, 4), d.hard(3, 4), d.weights(4)
    why = "computed in float; logarithms end at that of eps, 1e-8, which these logits do not reach"
    two = [("gamma", 1.0), ("negative_gamma", 4.0), "alpha"]
    for call, arguments, settings, batch in (
        ("", {}, [("margin", 0.05), MEAN_SAMPLES], {}),
        ("clip=0.3, disable_torch_grad_focal_loss=True, reduction='mean'",
         {"clip": 0.3, "disable_torch_grad_focal_loss": True, "reduction": "mean"},
         [("margin", 0.3), DETACHED], {}),
        ("gamma_neg=2, clip=0.05, reduction='sum', weight=w",
         {"gamma_neg": 2, "reduction": "sum", "weight": factors},
         [("negative_gamma", 2.0), ("margin", 0.05), SUM], {"class_weights": factors.tolist()}),
        ("clip=0, reduction='none'", {"clip": 0, "reduction": "none"}, [SUM], {}),
        ("clip=0, disable_torch_grad_focal_loss=True",
         {"clip": 0, "disable_torch_grad_focal_loss": True}, [DETACHED, MEAN_SAMPLES], {}),
        ("clip=0, pos_weight=2.5", {"clip": 0, "pos_weight": 2.5},
         [("positive_weight", 2.5), MEAN_SAMPLES], {}),
    ):
        w.case("timm.AsymmetricLossMultiLabel", f"AsymmetricLossMultiLabel({call})(x, t)",
               lambda x, a=arguments: AsymmetricLossMultiLabel(**a)(x, t), x,
               settings=two + settings, inputs=[array("targets", t)], batch=batch,
               tolerance=F32, why=why, model=asymmetric(t, arguments))

    y, x = d.labels(4, 4), d.logits(4, 4)
    for call, arguments, settings, smooth in (
        ("", {}, [("gamma", 1.0), ("negative_gamma", 4.0)], {"label_smoothing": 0.1}),
        ("gamma_pos=0, eps=0.2, reduction='none'",
         {"gamma_pos": 0, "eps": 0.2, "reduction": "none"},
         [("gamma", 0.0), ("negative_gamma", 4.0), SUM], {"label_smoothing": 0.2}),
        ("eps=0", {"eps": 0}, [("gamma", 1.0)], {}),
    ):
        w.case("timm.AsymmetricLossSingleLabel", f"AsymmetricLossSingleLabel({call})(x, y)",
               lambda x, a=arguments: AsymmetricLossSingleLabel(**a)(x, y), x, settings=settings,
               inputs=[array("targets", y)],
               batch={**SOFTMAX, **LABELS, **smooth},
               model=total_of_samples(
                   lambda row, label, a=arguments: formulas.asymmetric_single(
                       row, label, gamma_pos=a.get("gamma_pos", 1), eps=a.get("eps", 0.1)),
                   4, y.tolist(), divisor=1 if SUM in settings else 4))


def by_jax(function):
    """Loss and gradient of a function of JAX."""

    def call(x):
        import jax

        jax.config.update("jax_enable_x64", True)
        logits = jax.numpy.asarray(x.detach().numpy())
        value = function(logits)
        slope = jax.grad(lambda z: function(z).sum())(logits)
        return torch.tensor(value.tolist(), dtype=torch.float64), slope.tolist()

    return call


@row("optax", "jax")
def optax(w):
    import optax

    d = Draw(5)
    x, t = d.logits(3, 4), d.soft(3, 4)
    for call, arguments, settings in (("", {}, ["alpha"]), (", alpha=0.25, gamma=0.5",
                                      {"alpha": 0.25, "gamma": 0.5}, [("gamma", 0.5)])):
        w.case("optax.sigmoid_focal_loss", f"sigmoid_focal_loss(x, t{call})",
               by_jax(lambda x, a=arguments: optax.sigmoid_focal_loss(x, t.numpy(), **a)), x,
               settings=[*settings, SUM], inputs=[array("targets", t)],
               model=total(lambda x, t, a=arguments: linear(
                   x, t, a.get("alpha"), a.get("gamma", 2)), t))
    x, y, rows = d.logits(4, 4), d.labels(4, 4), d.soft(4, 4)
    w.case("optax.softmax_cross_entropy", "softmax_cross_entropy(x, rows), rows of any sum",
           by_jax(lambda x: optax.softmax_cross_entropy(x, rows.numpy())), x,
           settings=[("gamma", 0.0), SUM], inputs=[array("targets", rows)], batch=SOFTMAX,
           model=total_of_samples(formulas.categorical, 4,
                                  [formulas.numbers(row) for row in rows]))
    hard = [formulas.one_hot(label, 4) for label in y.tolist()]
    smooth = optax.smooth_labels(F.one_hot(y, 4).double().numpy(), 0.1)
    w.case("optax.softmax_cross_entropy",
           "softmax_cross_entropy(x, smooth_labels(one_hot(y), 0.1))",
           by_jax(lambda x: optax.softmax_cross_entropy(x, smooth)), x,
           settings=[("gamma", 0.0), SUM], inputs=[array("targets", y)],
           batch={**SOFTMAX, **LABELS, "label_smoothing": 0.1},
           model=total_of_samples(
               lambda row, t: formulas.categorical(row, formulas.smooth(t, 0.1)), 4, hard))
    w.case("optax.softmax_cross_entropy", "softmax_cross_entropy_with_integer_labels(x, y)",
           by_jax(lambda x: optax.softmax_cross_entropy_with_integer_labels(x, y.numpy())), x,
           settings=[("gamma", 0.0), SUM], inputs=[array("targets", y)],
           batch={**SOFTMAX, **LABELS},
           model=total_of_samples(formulas.categorical, 4, hard))


@row("keras")
def keras(w):
    import keras

    d = Draw(6)
    x, t = d.logits(3, 4), d.soft(3, 4)
    p = x.sigmoid()
    binary = keras.losses.BinaryFocalCrossentropy
    name = "keras.BinaryFocalCrossentropy"
    why = "in float; p is cut to [1e-7, 1 - 1e-7], which these logits do not reach"
    w.case(name, "BinaryFocalCrossentropy(from_logits=True)(t, x)",
           lambda x: binary(from_logits=True)(t, x), x,
           settings=["alpha"], inputs=[array("targets", t)], why=why, tolerance=F32,
           model=total(lambda x, t: linear(x, t, None, 2), t, divisor=12))
    w.case(name, "BinaryFocalCrossentropy(apply_class_balancing=True, gamma=1.5, "
           "label_smoothing=0.1)(t, p)",
           lambda p: binary(apply_class_balancing=True, gamma=1.5, label_smoothing=0.1)(t, p), p,
           settings=[("gamma", 1.5)], inputs=[array("targets", t)], why=why, tolerance=F32,
           batch={**PROBABILITY, "label_smoothing": 0.1},
           model=total(lambda p, t: formulas.focal(p, t * mpf("0.9") + mpf("0.05"), 0.25, 1.5), t,
                       divisor=12))

    x, rows, y = d.logits(4, 4), d.soft(4, 4), d.labels(4, 4)
    one_hot, alphas = F.one_hot(y, 4).double(), [0.25, 0.5, 0.75, 1.0]
    hard = [formulas.one_hot(label, 4) for label in y.tolist()]
    categorical = keras.losses.CategoricalFocalCrossentropy
    name = "keras.CategoricalFocalCrossentropy"
    w.case(name, "CategoricalFocalCrossentropy(from_logits=True)(rows, x), rows of any sum",
           lambda x: categorical(from_logits=True)(rows, x), x,
           settings=[rule("SPLIT"), ("loss_weight", 0.25)], inputs=[array("targets", rows)],
           batch=SOFTMAX, why=why, tolerance=F32,
           model=total_of_samples(
               lambda row, t: formulas.categorical(row, t, 2, [0.25] * 4), 4,
               [formulas.numbers(row) for row in rows], divisor=4))
    w.case(name, f"CategoricalFocalCrossentropy(alpha={alphas}, gamma=3)(one_hot(y), softmax(x))",
           lambda x: categorical(alpha=alphas, gamma=3)(one_hot, x.softmax(1)), x,
           settings=[("gamma", 3.0)], inputs=[array("targets", y)],
           batch={**SOFTMAX, **LABELS, "class_alpha": alphas}, why=why, tolerance=F32,
           model=total_of_samples(
               lambda row, t: formulas.categorical(row, t, 3, alphas), 4, hard, divisor=4))
    w.case(name, f"CategoricalFocalCrossentropy(alpha={alphas}, label_smoothing=0.1, "
           "from_logits=True)(one_hot(y), x)",
           lambda x: categorical(alpha=alphas, label_smoothing=0.1, from_logits=True)(one_hot, x),
           x, settings=[rule("SPLIT")], inputs=[array("targets", y)], why=why, tolerance=F32,
           batch={**SOFTMAX, **LABELS, "class_alpha": alphas, "label_smoothing": 0.1,
                  "flags": "CLASS_WEIGHTS_OF_TERMS"},
           model=total_of_samples(
               lambda row, t: formulas.categorical(row, formulas.smooth(t, 0.1), 2, alphas), 4,
               hard, divisor=4))
    w.case("keras.CategoricalCrossentropy",
           "CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)(one_hot(y), x)",
           lambda x: keras.losses.CategoricalCrossentropy(
               from_logits=True, label_smoothing=0.1)(one_hot, x), x,
           settings=[("gamma", 0.0)], inputs=[array("targets", y)],
           batch={**SOFTMAX, **LABELS, "label_smoothing": 0.1}, why=why, tolerance=F32,
           model=total_of_samples(
               lambda row, t: formulas.categorical(row, formulas.smooth(t, 0.1)), 4, hard,
               divisor=4))


def detections(d, batch, queries, classes):
    """What the losses of transformers take: logits, a matching of two boxes for each image, and
    the labels and IoUs that follow from it."""
    import transformers.loss.loss_for_object_detection as detection
    from transformers.image_transforms import center_to_corners_format

    boxes = 0.3 + 0.2 * d.soft(batch, queries, 4)
    targets = [
        {"class_labels": d.labels(2, classes), "boxes": 0.3 + 0.2 * d.soft(2, 4)}
        for _ in range(batch)
    ]
    indices = [(torch.tensor([0, queries - 1]), torch.tensor([1, 0])) for _ in range(batch)]
    labels = torch.full((batch, queries), classes)
    scores = torch.zeros(batch, queries, dtype=torch.float64)
    for image, (source, target) in enumerate(indices):
        labels[image, source] = targets[image]["class_labels"][target]
        ious = detection.box_iou(
            center_to_corners_format(boxes[image, source]),
            center_to_corners_format(targets[image]["boxes"][target]),
        )[0]
        scores[image, source] = torch.diag(ious)
    return boxes, targets, indices, labels, scores


@row("transformers", "scipy")
def transformers(w):
    import transformers.loss.loss_deimv2 as deimv2
    import transformers.loss.loss_for_object_detection as detection
    import transformers.loss.loss_grounding_dino as dino
    import transformers.loss.loss_lw_detr as lw_detr
    import transformers.loss.loss_rt_detr as rt_detr

    d = Draw(7)
    x, t = d.logits(2, 3, 4), d.hard(2, 3, 4)
    w.case("transformers.sigmoid_focal_loss",
           "loss_for_object_detection.sigmoid_focal_loss(x, t, num_boxes=4), x of 2 x 3 x 4",
           lambda x: detection.sigmoid_focal_loss(x, t, 4), x, class_axis=2,
           settings=normalizer(4 * 3), inputs=[array("targets", t)],
           model=total(lambda x, t: linear(x, t, 0.25, 2), t, divisor=12))
    w.case("transformers.sigmoid_focal_loss",
           "loss_grounding_dino.sigmoid_focal_loss(x, t, num_boxes=4)",
           lambda x: dino.sigmoid_focal_loss(x, t, 4), x, class_axis=2,
           settings=normalizer(4), inputs=[array("targets", t)],
           model=total(lambda x, t: linear(x, t, 0.25, 2), t, divisor=4))

    boxes, targets, indices, labels, scores = detections(d, 2, 3, 4)
    given = [array("targets", labels), array("scores", scores)]
    one_hot = F.one_hot(labels, 5)[..., :4]
    of_classes = (one_hot, scores.unsqueeze(2).expand(2, 3, 4))
    this = types.SimpleNamespace(
        num_classes=4, alpha=0.75, gamma=2.0, mal_alpha=None, focal_alpha=0.25,
        _get_source_permutation_idx=lambda indices:
            rt_detr.RTDetrLoss._get_source_permutation_idx(None, indices),
    )
    outputs = lambda x: {"logits": x, "pred_boxes": boxes}  # noqa: E731
    w.case("transformers.loss_labels_vfl",
           "RTDetrLoss (also DFineLoss).loss_labels_vfl, alpha 0.75, gamma 2, 4 boxes",
           lambda x: rt_detr.RTDetrLoss.loss_labels_vfl(this, outputs(x), targets, indices, 4)
           ["loss_vfl"], x, class_axis=2, inputs=given, batch=SCORES,
           settings=[rule("VARIFOCAL"), ("alpha", 0.75), DETACHED, *normalizer(4)],
           model=total_detached(lambda x, c, y, s: formulas.by_label(x, c, y, s, 0.75, 2),
                                *of_classes, divisor=4))
    for alpha, settings in ((None, ["alpha"]), (0.5, [("alpha", 0.5)])):
        this_mal = types.SimpleNamespace(**{**vars(this), "mal_alpha": alpha, "gamma": 1.5})
        w.case("transformers.loss_labels_mal",
               f"Deimv2Loss.loss_labels_mal, mal_alpha {alpha}, gamma 1.5, 4 boxes",
               lambda x, this=this_mal: deimv2.Deimv2Loss.loss_labels_mal(
                   this, outputs(x), targets, indices, 4)["loss_mal"], x, class_axis=2,
               inputs=given, batch=SCORES,
               settings=[rule("MATCHABILITY"), ("gamma", 1.5), *settings, DETACHED,
                         *normalizer(4)],
               model=total_detached(lambda x, c, y, s, a=alpha: formulas.matchability(
                   x, c, y, s, a, 1.5), *of_classes, divisor=4))
    p = x.sigmoid().gather(2, labels.clamp(max=3).unsqueeze(2)).squeeze(2)
    quality = (p**0.25 * scores**0.75).clamp(min=0.01)
    w.case("transformers.LwDetrImageLoss",
           "LwDetrImageLoss (also RF-DETR).loss_labels, focal_alpha 0.25, 4 boxes",
           lambda x: lw_detr.LwDetrImageLoss.loss_labels(this, outputs(x), targets, indices, 4)
           ["loss_ce"], x, class_axis=2, batch=SCORES,
           inputs=[given[0], array("scores", quality)],
           settings=[rule("VARIFOCAL_UNWEIGHTED"), "alpha", *normalizer(4)],
           model=total(formulas.lw_detr, one_hot, quality.unsqueeze(2).expand(2, 3, 4), divisor=4))
    matcher_cost(w, d, rt_detr)


def matcher_cost(w, d, rt_detr):
    """The cost of each query for each class: what the matcher gives to the assignment, for one box
    of each class and with the costs of boxes off."""
    x = d.logits(3, 4)
    boxes = 0.3 + 0.2 * d.soft(4, 4)
    seen = []
    assignment = rt_detr.linear_sum_assignment
    rt_detr.linear_sum_assignment = lambda cost: seen.append(cost) or assignment(cost)
    this = types.SimpleNamespace(use_focal_loss=True, alpha=0.25, gamma=2.0, class_cost=1.0,
                                 bbox_cost=0.0, giou_cost=0.0)
    rt_detr.RTDetrHungarianMatcher.forward(
        this, {"logits": x.unsqueeze(0), "pred_boxes": boxes[:3].unsqueeze(0)},
        [{"class_labels": torch.arange(4), "boxes": boxes}])
    rt_detr.linear_sum_assignment = assignment
    pair = torch.tensor([1.0, 0.0], dtype=torch.float64)
    sign = torch.tensor([1.0, -1.0], dtype=torch.float64)
    w.case("transformers.RTDetrHungarianMatcher",
           "RTDetrHungarianMatcher, alpha 0.25, gamma 2: class costs of 3 queries, 4 classes",
           lambda _: seen[0], x, shape=(2, 3, 4), strides="0,0,4,1", class_axis=None,
           settings=[SUM], gradient=False, tolerance=1e-6,
           why="1e-8 is added to probabilities before logarithms",
           inputs=[array("targets", pair, "0,1,0,0"), array("weights", sign, "0,1,0,0")],
           model=total(lambda x: formulas.matcher_cost(x, 0.25, 2)))


@row("ultralytics")
def ultralytics(w):
    # The package needs more than PyTorch; these classes do not.
    module = load_classes("ultralytics.utils.loss", ("VarifocalLoss", "FocalLoss"))
    d = Draw(8)
    x, label = d.logits(5, 4), F.one_hot(d.labels(5, 5), 5)[:, :4]
    scores = d.soft(5, 1) * label
    w.case("ultralytics.VarifocalLoss", "VarifocalLoss()(x, scores, label), x of 5 x 4",
           lambda x: module.VarifocalLoss()(x, scores, label), x, tolerance=F32,
           settings=[rule("VARIFOCAL"), ("alpha", 0.75), *normalizer(4)],
           inputs=[array("targets", scores)],
           model=total(lambda x, y, s: formulas.by_label(x, x, y, s, 0.75, 2), label, scores,
                       divisor=4))
    for call, arguments, settings in (
        ("", {}, [("gamma", 1.5)]),
        ("gamma=2, alpha=0", {"gamma": 2.0, "alpha": 0.0}, ["alpha"]),
    ):
        w.case("ultralytics.FocalLoss", f"FocalLoss({call})(x, label), x of 5 x 4",
               lambda x, a=arguments: module.FocalLoss(**a)(x, label.double()), x,
               settings=[*settings, *normalizer(4)], inputs=[array("targets", label.double())],
               model=total(lambda x, t, a=arguments: linear(
                   x, t, a.get("alpha", 0.25) or None, a.get("gamma", 1.5)), label, divisor=4))


@row("mmdet")
def mmdet(w):
    stub_mmdet()
    focal = importlib.import_module("mmdet.models.losses.focal_loss")
    quality = importlib.import_module("mmdet.models.losses.gfocal_loss")
    varifocal = importlib.import_module("mmdet.models.losses.varifocal_loss")
    gaussian = importlib.import_module("mmdet.models.losses.gaussian_focal_loss")
    d = Draw(9)
    x, y, t = d.logits(5, 4), d.labels(5, 5), d.soft(5, 4)
    scores, rows = d.soft(5), d.weights(5)
    labels = [array("targets", y)]
    row_weights = [array("weights", rows, "per_sample")]
    factor = 3 + torch.finfo(torch.float32).eps  # as weight_reduce_loss has it
    three = normalizer(factor)
    name = "mmdet.FocalLoss"
    one_hot = F.one_hot(y, 5)[:, :4]
    of_classes = (one_hot * scores.unsqueeze(1), rows.unsqueeze(1).expand(5, 4))
    w.case(name, "FocalLoss()(x, y)", lambda x: focal.FocalLoss()(x, y), x,
           inputs=labels, batch=BACKGROUND_LAST,
           model=total(lambda x, t: linear(x, t, 0.25, 2), one_hot, divisor=20))
    w.case(name, "FocalLoss(loss_weight=2)(x, t, weight of rows, avg_factor=3)",
           lambda x: focal.FocalLoss(loss_weight=2.0)(x, t, rows, 3), x,
           settings=[("loss_weight", 2.0), *three],
           inputs=[array("targets", t), *row_weights],
           model=total(lambda x, t, r: 2 * r * linear(x, t, 0.25, 2), t, of_classes[1],
                       divisor=factor))
    p = x.sigmoid()
    w.case(name, "FocalLoss(activated=True)(p, t)",
           lambda p: focal.FocalLoss(activated=True)(p, t), p, inputs=[array("targets", t)],
           batch=PROBABILITY,
           model=total(lambda p, t: formulas.focal(p, t, 0.25, 2), t, divisor=20))
    name = "mmdet.QualityFocalLoss"
    settings = [rule("QUALITY"), "alpha"]
    given = [*labels, array("scores", scores)]
    w.case(name, "QualityFocalLoss()(x, (y, scores))",
           lambda x: quality.QualityFocalLoss()(x, (y, scores)), x,
           settings=[*settings, MEAN_SAMPLES], inputs=given, batch=SCORES,
           model=total(lambda x, t: formulas.quality(x, t, 2), of_classes[0], divisor=5))
    w.case(name, "QualityFocalLoss(beta=1.5)(x, (y, scores), weight, avg_factor=3)",
           lambda x: quality.QualityFocalLoss(beta=1.5)(x, (y, scores), rows, 3), x,
           settings=[*settings, ("gamma", 1.5), *three], inputs=[*given, *row_weights],
           batch=SCORES,
           model=total(lambda x, t, r: r * formulas.quality(x, t, 1.5), *of_classes,
                       divisor=factor))
    w.case(name, "QualityFocalLoss()(x, t), a tensor",
           lambda x: quality.QualityFocalLoss()(x, t), x, settings=[*settings, MEAN_SAMPLES],
           inputs=[array("targets", t)],
           model=total(lambda x, t: formulas.quality(x, t, 2), t, divisor=5))
    name = "mmdet.VarifocalLoss"
    sparse = F.one_hot(y, 5)[:, :4] * t
    targets = [array("targets", sparse)]
    w.case(name, "VarifocalLoss()(x, t)", lambda x: varifocal.VarifocalLoss()(x, sparse), x,
           settings=[rule("VARIFOCAL"), ("alpha", 0.75)], inputs=targets,
           model=total(lambda x, t: formulas.varifocal(x, x, t, 0.75, 2), sparse, divisor=20))
    w.case(name, "VarifocalLoss(alpha=0.5, gamma=1.5, iou_weighted=False)(x, t, avg_factor=3)",
           lambda x: varifocal.VarifocalLoss(alpha=0.5, gamma=1.5, iou_weighted=False)(
               x, sparse, avg_factor=3), x,
           settings=[rule("VARIFOCAL_UNWEIGHTED"), ("alpha", 0.5), ("gamma", 1.5), *three],
           inputs=targets,
           model=total(lambda x, t: formulas.varifocal(x, x, t, 0.5, 1.5, weighted=False), sparse,
                       divisor=factor))
    name = "mmdet.GaussianFocalLoss"
    p, heat = (1 + 62 * d.soft(4, 5)).round() / 64, d.heat(4, 5)
    why = "1e-12 is added to probabilities"
    w.case(name, "GaussianFocalLoss()(p, heat, avg_factor=3)",
           lambda p: gaussian.GaussianFocalLoss()(p, heat, avg_factor=3), p,
           settings=[rule("HEATMAP"), *three], inputs=[array("targets", heat)],
           batch=PROBABILITY, tolerance=1e-9, why=why,
           model=total(lambda p, t: formulas.heat_map(p, t, 2, 4), heat, divisor=factor))
    w.case(name, "GaussianFocalLoss(alpha=1.5, gamma=3, pos_weight=2, neg_weight=0.5, "
           "reduction='sum')(p, heat)",
           lambda p: gaussian.GaussianFocalLoss(alpha=1.5, gamma=3, pos_weight=2.0, neg_weight=0.5,
                                                reduction="sum")(p, heat), p,
           settings=[rule("HEATMAP"), ("gamma", 1.5), ("beta", 3.0), ("positive_weight", 4.0),
                     ("loss_weight", 0.5), SUM],
           inputs=[array("targets", heat)], batch=PROBABILITY, tolerance=1e-9, why=why,
           model=total(lambda p, t: formulas.heat_map(p, t, 1.5, 3, 2, 0.5), heat))


@row("mmdet")
def mmdet_ghm(w):
    stub_mmdet()
    ghm = importlib.import_module("mmdet.models.losses.ghm_loss")
    d = Draw(13)
    x, x0, t, mask = d.logits(4, 4), d.logits(4, 4), d.hard(4, 4), d.hard(4, 4)
    mask[0] = 1.0
    why = "edges, averages and weights in float; 1.19e-7 added to the number of valid elements"
    of = {"handle": f"ghm {CONSTANTS['GHM_CLASSIFICATION']}", "why": why, "tolerance": F32}
    given = [array("targets", t), array("weights", mask)]
    loss = ghm.GHMC()
    w.case("mmdet.GHMC", "GHMC()(x, t, mask)", lambda x: loss(x, t, mask), x, inputs=given, **of)
    remembering = ghm.GHMC(bins=30, momentum=0.75, loss_weight=2.0)
    momentum = [("momentum_rule", "GHM_MOMENTUM_REFERENCE"), ("momentum", 0.75)]
    w.case("mmdet.GHMC", "GHMC(bins=30, momentum=0.75, loss_weight=2)(x, t, mask), the second call",
           lambda x: remembering(x, t, mask), x, before=[x0], inputs=given,
           settings=[("bins", 30), *momentum, ("loss_weight", 2.0)], **of)
    y, rows = d.labels(4, 4) + 1, torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    w.case("mmdet.GHMC", "GHMC()(x, y, weight of rows)", lambda x: ghm.GHMC()(x, y, rows), x,
           inputs=[array("targets", y), array("weights", rows, "per_sample")],
           batch=BACKGROUND_LAST, **of)
    of["handle"] = f"ghm {CONSTANTS['GHM_REGRESSION']}"
    x, x0, t = x / 8, x0 / 8, d.logits(4, 4) / 8
    given = [array("targets", t), array("weights", mask)]
    w.case("mmdet.GHMR", "GHMR(mu=0.125)(x, t, mask)",
           lambda x: ghm.GHMR(mu=0.125)(x, t, mask), x, inputs=given, settings=[("mu", 0.125)],
           **of)
    regression = ghm.GHMR(mu=0.125, bins=5, momentum=0.75, loss_weight=2.0)
    w.case("mmdet.GHMR", "GHMR(mu=0.125, bins=5, momentum=0.75, loss_weight=2)(x, t, mask), the "
           "second call", lambda x: regression(x, t, mask), x, before=[x0], inputs=given,
           settings=[("mu", 0.125), ("bins", 5), *momentum, ("loss_weight", 2.0)], **of)


@row("monai")
def monai(w):
    module = load_alone("monai.losses.focal_loss")
    loss = module.FocalLoss
    d = Draw(10)
    x, y, factors = d.logits(2, 4, 3), d.labels(6, 4).reshape(2, 3), d.weights(4)
    t = F.one_hot(y, 4).transpose(1, 2).double().contiguous()
    rest, of_places = factors.tolist(), factors.reshape(1, 4, 1).expand(2, 4, 3)
    hard = [formulas.one_hot(label, 4) for label in y.reshape(-1).tolist()]
    terms = formulas.numbers(factors * torch.tensor([0.75, 0.25, 0.25, 0.25]))
    w.case("monai.sigmoid", f"FocalLoss(alpha=0.25, weight={rest})(x, t), x of 2 x 4 x 3",
           lambda x: loss(alpha=0.25, weight=factors)(x, t), x, tolerance=F32,
           inputs=[array("targets", t)], batch={"class_weights": rest},
           model=total(lambda x, t, f: f * linear(x, t, 0.25, 2), t, of_places, divisor=24))
    w.case("monai.sigmoid", "FocalLoss(reduction='sum')(x, t)",
           lambda x: loss(reduction="sum")(x, t), x, tolerance=F32,
           settings=["alpha", *normalizer(3)], inputs=[array("targets", t)],
           model=total(lambda x, t: linear(x, t, None, 2), t, divisor=3))
    labels = [array("targets", y)]
    w.case("monai.softmax", f"FocalLoss(use_softmax=True, alpha=0.25, weight={rest})(x, t)",
           lambda x: loss(use_softmax=True, alpha=0.25, weight=factors)(x, t), x, tolerance=F32,
           settings=normalizer(2 * 4 * 3), inputs=labels,
           batch={**SOFTMAX, **LABELS, "class_alpha": [0.75, 0.25, 0.25, 0.25],
                  "class_weights": rest},
           model=total_of_samples(lambda row, t: formulas.categorical(row, t, 2, terms), 4, hard,
                                  inner=3, divisor=24))
    without = x[:, 1:].contiguous()
    w.case("monai.softmax", "FocalLoss(use_softmax=True, include_background=False)(x, t), channels "
           "1 to 3 of x",
           lambda z: loss(use_softmax=True, include_background=False)(
               torch.cat([x[:, :1], z], 1), t), without, tolerance=F32,
           settings=normalizer(2 * 3 * 3), inputs=[array("targets", y - 1)],
           batch={**SOFTMAX, **LABELS, "ignore_index": -1},
           model=total_of_samples(lambda row, t: formulas.categorical(row, t[1:], 2), 3, hard,
                                  inner=3, divisor=18))


@row("kornia")
def kornia(w):
    from kornia.losses import binary_focal_loss_with_logits, focal_loss

    d = Draw(11)
    x, y, factors = d.logits(2, 4, 3), d.labels(6, 4).reshape(2, 3), d.weights(4)
    terms = formulas.numbers(factors * torch.tensor([0.75, 0.25, 0.25, 0.25]))
    of_places = factors.reshape(1, 4, 1).expand(2, 4, 3)
    y[0, 1] = -100
    hard = [formulas.one_hot(label, 4) for label in y.reshape(-1).tolist()]
    w.case("kornia.focal_loss", "focal_loss(x, y, alpha=0.25, reduction='mean', weight=w), one of "
           "y is -100, x of 2 x 4 x 3",
           lambda x: focal_loss(x, y, 0.25, reduction="mean", weight=factors), x,
           settings=normalizer(2 * 4 * 3), inputs=[array("targets", y)],
           batch={**SOFTMAX, **LABELS, "class_alpha": [0.75, 0.25, 0.25, 0.25],
                  "class_weights": factors.tolist(), "ignore_index": -100},
           model=total_of_samples(lambda row, t: formulas.categorical(row, t, 2, terms), 4, hard,
                                  inner=3, divisor=24))
    t = d.soft(2, 4, 3)
    t[0, 0, 0] = -100
    w.case("kornia.binary_focal_loss_with_logits",
           "binary_focal_loss_with_logits(x, t, alpha=0.25, reduction='mean', weight=w), one of t "
           "is -100",
           lambda x: binary_focal_loss_with_logits(x, t, 0.25, reduction="mean", weight=factors),
           x, settings=[rule("SPLIT")], inputs=[array("targets", t)],
           batch={"class_weights": factors.tolist(), "ignore_index": -100},
           model=total(lambda x, t, f: (t >= 0) * f * formulas.split(x, t, 0.25, 2), t, of_places,
                       divisor=24))


@row("paddle")
def paddle(w):
    import numpy
    import paddle

    d = Draw(12)
    x, t = d.logits(3, 4), d.soft(3, 4)

    def call(**arguments):
        def run(x):
            z = paddle.to_tensor(x.detach().numpy(), stop_gradient=False)
            loss = paddle.nn.functional.sigmoid_focal_loss(z, paddle.to_tensor(t.numpy()),
                                                           **arguments)
            slope = paddle.grad(loss.sum(), z)[0]
            return numpy.asarray(loss), numpy.asarray(slope)

        return run

    three = paddle.to_tensor([3.0])
    for arguments, words, settings, divisor in (
        ({}, "x, t", [SUM], 1),
        ({"normalizer": three, "reduction": "mean"}, "x, t, normalizer=3, reduction='mean'",
         normalizer(3 * 12), 3 * 12),
    ):
        w.case("paddlepaddle", f"sigmoid_focal_loss({words})", call(**arguments), x,
               settings=settings, inputs=[array("targets", t)],
               model=total(lambda x, t: linear(x, t, 0.25, 2), t, divisor=divisor))


# Packages that want more than their losses do -------------------------------------------------


def package_folder(name):
    """Where an installed package lies, without importing it."""
    for folder in sys.path:
        if (pathlib.Path(folder) / name / "__init__.py").exists():
            return pathlib.Path(folder) / name
    raise ImportError(f"there is no {name}")


def load_alone(name):
    """A module without what its packages import."""
    parts = name.split(".")
    path = package_folder(parts[0]).joinpath(*parts[1:]).with_suffix(".py")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_classes(name, wanted):
    """Classes out of a module, which need PyTorch alone."""
    import ast
    import contextlib

    parts = name.split(".")
    path = package_folder(parts[0]).joinpath(*parts[1:]).with_suffix(".py")
    tree = ast.parse(path.read_text(), path)
    tree.body = [node for node in tree.body
                 if isinstance(node, ast.ClassDef) and node.name in wanted]
    space = {"torch": torch, "nn": torch.nn, "F": F,
             "autocast": lambda enabled, device: contextlib.nullcontext()}
    exec(compile(tree, path, "exec"), space)  # noqa: S102  (an installed package)
    return types.SimpleNamespace(**{name: space[name] for name in wanted})


def stub_mmdet():
    """mmdet wants mmcv, which has to be built; the losses on the CPU use nothing of it."""
    if "mmdet" in sys.modules:
        return
    folder = package_folder("mmdet")
    for name, path in (("mmdet", folder), ("mmdet.models", folder / "models"),
                       ("mmdet.models.losses", folder / "models/losses")):
        module = types.ModuleType(name)
        module.__path__ = [str(path)]
        sys.modules[name] = module
    registry = types.ModuleType("mmdet.registry")
    registry.MODELS = types.SimpleNamespace(register_module=lambda: lambda c: c)
    operators = types.ModuleType("mmcv.ops")
    operators.sigmoid_focal_loss = None
    sys.modules.update({"mmdet.registry": registry, "mmcv": types.ModuleType("mmcv"),
                        "mmcv.ops": operators})


def main():
    partial = sys.argv[1:2] == ["--partial"]
    if len(sys.argv) != 2 + partial:
        sys.exit(__doc__)
    writer, missing = Writer(), 0
    for function, modules in ROWS:
        try:
            for module in modules:
                if module not in sys.modules and importlib.util.find_spec(module) is None:
                    raise ImportError(f"there is no {module}")
            function(writer)
        except ImportError as error:
            print(f"{function.__name__}: left out, {error}", file=sys.stderr)
            missing += 1
    if missing and not partial:
        sys.exit("nothing written")
    pathlib.Path(sys.argv[-1]).write_text(HEAD + "\n".join(writer.lines) + "\n")


main()
