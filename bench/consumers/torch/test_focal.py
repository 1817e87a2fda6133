# SPDX-License-Identifier: MIT
"""focal.py against PyTorch's own arithmetic; ends with a table of the differences."""

import sys
import traceback

import torch
import torch.nn.functional as F

from focal import focal_loss

cases = []
differences = {}  # {(name, dtype): (found, allowed)}


def case(function):
    cases.append(function)
    return function


def note(name, dtype, found, allowed):
    key = name, str(dtype).replace("torch.", "")
    differences[key] = max((found, allowed), differences.get(key, (0.0, 0.0)))


def sigmoid_formula(logits, targets, gamma, alpha):
    """Of hard targets, in double, from logsigmoid: no 1 - p."""
    sign = 2 * targets.double() - 1
    z = logits.double() * sign
    factor = 1.0 if alpha is None else alpha * targets + (1 - alpha) * (1 - targets)
    return -factor * torch.exp(gamma * F.logsigmoid(-z)) * F.logsigmoid(z)


def softmax_formula(logits, labels, gamma, alpha):
    """Of (N, C, ...) logits, from log_softmax."""
    log_p = torch.log_softmax(logits, 1).gather(1, labels.unsqueeze(1)).squeeze(1)
    return -(1.0 if alpha is None else alpha) * (1 - log_p.exp()) ** gamma * log_p


def compare(name, got, wanted, tolerance):
    """The largest error, relative to the largest value there."""
    scale = wanted.abs().max().double()
    error = ((got.double() - wanted.double()).abs().max() / scale).item()
    note(name, got.dtype, error, tolerance)
    assert got.shape == wanted.shape, (got.shape, wanted.shape)
    assert error <= tolerance, f"{name}: {error:.3g} > {tolerance:.3g}"


def with_gradient(function, logits):
    """The loss and d (weighted sum of the losses) / d logits."""
    logits = logits.detach().requires_grad_()
    loss = function(logits)
    weights = torch.linspace(0.5, 1.5, max(loss.numel(), 1), dtype=loss.dtype)[: loss.numel()]
    (gradient,) = torch.autograd.grad(loss, logits, weights.reshape(loss.shape))
    return loss.detach(), gradient


def compare_both(name, ours, theirs, logits, tolerance):
    loss, gradient = with_gradient(ours, logits)
    wanted_loss, wanted_gradient = with_gradient(theirs, logits)
    compare(name, loss, wanted_loss, tolerance)
    compare(name + ", gradient", gradient, wanted_gradient, tolerance)


def random_logits(*shape, dtype=torch.float32):
    return (3 * torch.randn(*shape, dtype=torch.float64)).to(dtype)


@case
def gradcheck():
    logits = random_logits(4, 5, 2, dtype=torch.float64).requires_grad_()
    soft = torch.rand(4, 5, 2, dtype=torch.float64)
    labels = torch.randint(0, 5, (4, 2))
    weights = torch.rand(4, 1, 2, dtype=torch.float64)
    for gamma in (0.0, 0.5, 2.0):
        for reduction in ("none", "sum", "mean"):
            for arguments in (
                dict(targets=soft, weights=weights),
                dict(targets=labels),
                dict(targets=labels, ignore_index=3),
                dict(targets=labels, softmax=True),
                dict(targets=labels, softmax=True, ignore_index=3, weights=weights[:, 0]),
            ):
                targets = arguments.pop("targets")
                assert torch.autograd.gradcheck(
                    lambda x: focal_loss(
                        x, targets, gamma=gamma, reduction=reduction, **arguments
                    ),
                    logits,
                )


@case
def torchvision_agrees():
    from torchvision.ops import sigmoid_focal_loss

    logits = random_logits(64, 20, dtype=torch.float64)
    soft = torch.rand_like(logits)
    for gamma, alpha in ((2.0, 0.25), (1.5, None), (3.0, 0.9)):
        for reduction in ("none", "sum", "mean"):
            compare_both(
                "torchvision",
                lambda x: focal_loss(x, soft, gamma=gamma, alpha=alpha, reduction=reduction),
                lambda x: sigmoid_focal_loss(
                    x, soft, gamma=gamma, alpha=-1 if alpha is None else alpha, reduction=reduction
                ),
                logits,
                4e-15,
            )


@case
def softmax_agrees_with_log_softmax():
    logits = random_logits(64, 20, dtype=torch.float64)
    labels = torch.randint(0, 20, (64,))
    for gamma, alpha in ((0.0, None), (2.0, None), (1.5, 0.25)):
        compare_both(
            "log_softmax",
            lambda x: focal_loss(
                x, labels, gamma=gamma, alpha=alpha, softmax=True, reduction="none"
            ),
            lambda x: softmax_formula(x, labels, gamma, alpha),
            logits,
            4e-15,
        )


@case
def gamma_0_is_cross_entropy_with_ignored_labels():
    logits = random_logits(8, 6, 5, 4, dtype=torch.float64)
    labels = torch.randint(0, 6, (8, 5, 4))
    labels[:, 2] = -100
    compare_both(
        "cross_entropy, labels ignored",
        lambda x: focal_loss(x, labels, gamma=0.0, alpha=None, softmax=True, ignore_index=-100),
        lambda x: F.cross_entropy(x, labels, ignore_index=-100),
        logits,
        4e-15,
    )


@case
def every_dtype():
    """Narrow types: one rounding of the result in double of the same logits."""
    labels = torch.randint(0, 20, (64,))
    targets = F.one_hot(labels, 20)
    for dtype, tolerance in (
        (torch.float64, 4e-15),
        (torch.float32, 1e-6),
        (torch.float16, 2.0**-11),
        (torch.bfloat16, 2.0**-8),
    ):
        logits = random_logits(64, 20, dtype=dtype)
        for form in (labels, targets, targets.bool(), targets.to(dtype), targets.to(torch.uint8)):
            loss = focal_loss(logits, form, reduction="none")
            compare("sigmoid", loss, sigmoid_formula(logits, targets, 2.0, 0.25), tolerance)
        # Margins are rounded too, hence twice as much in float.
        loss = focal_loss(logits, labels, softmax=True, reduction="none")
        wanted = softmax_formula(logits.double(), labels, 2.0, 0.25)
        compare("softmax", loss, wanted, 2 * tolerance)
        assert loss.dtype == dtype


@case
def backgrounds():
    logits = random_logits(64, 5, dtype=torch.float64)
    labels = torch.randint(0, 6, (64,))
    targets = F.one_hot(labels, 6)
    shifted = labels - 1
    for name, form, dense in (
        ("last", labels, targets[:, :5]),
        ("first", labels, targets[:, 1:]),
        (-1, shifted, targets[:, 1:]),
    ):
        loss = focal_loss(logits, form, background=name, reduction="none")
        compare("background", loss, sigmoid_formula(logits, dense, 2.0, 0.25), 4e-15)


def layouts():
    """(4, 3, 5, 6) tensors with the same numbers, in various places."""
    base = random_logits(4, 3, 5, 6)
    wide = torch.zeros(4, 7, 5, 13)
    wide[:, ::3, :, 1::2] = base
    yield "N C H W", base
    yield "channels last", base.contiguous(memory_format=torch.channels_last)
    yield "transposed", base.permute(3, 1, 2, 0).contiguous().permute(3, 1, 2, 0)
    yield "steps", wide[:, ::3, :, 1::2]


@case
def every_layout():
    """The same bits wherever the numbers lie."""
    labels = torch.randint(0, 3, (4, 5, 6))
    turned = labels.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    soft = torch.rand(4, 3, 5, 6)
    expected = {}
    for name, logits in layouts():
        for softmax, form, targets in (
            (False, "labels", labels),
            (False, "labels", turned),
            (False, "dense", soft),
            (True, "labels", labels),
            (True, "labels", turned),
        ):
            loss, gradient = with_gradient(
                lambda x: focal_loss(x, targets, softmax=softmax, reduction="none"), logits
            )
            wanted = expected.setdefault((softmax, form), (loss, gradient))
            assert torch.equal(loss, wanted[0]) and torch.equal(gradient, wanted[1]), name


@case
def repeated_values():
    """Strides of 0, for one array, or for all of them."""
    scalar, soft = torch.tensor(0.7), torch.rand(4, 1, 6)
    labels = torch.tensor(2)
    for logits, targets, arguments in (
        (scalar.expand(4, 5, 6), soft.expand(4, 5, 6), {}),
        (scalar.expand(4, 5, 6), torch.tensor(1.0).expand(4, 5, 6), {}),
        (random_logits(4, 5, 6), torch.tensor(1.0).expand(4, 5, 6), dict(weights=scalar)),
        (random_logits(4, 5, 6), labels.expand(4, 6), dict(weights=scalar)),
        (random_logits(4, 5, 6), labels.expand(4, 6), dict(softmax=True, weights=scalar)),
        (random_logits(4, 5, 1).expand(4, 5, 6), labels.expand(4, 6), dict(softmax=True)),
        (scalar.expand(4, 5, 6), labels.expand(4, 6), dict(softmax=True)),
        (
            random_logits(4, 5, 6).transpose(0, 2),
            torch.tensor(0.3).expand(6, 5, 4),
            dict(weights=torch.rand(5, 1)),
        ),
    ):
        for reduction in ("none", "sum", "mean"):
            got = focal_loss(logits, targets, reduction=reduction, **arguments)
            copies = dict(arguments)
            if "weights" in arguments:
                shape = targets.shape if "softmax" in arguments else logits.shape
                copies["weights"] = arguments["weights"].expand(shape).contiguous()
            wanted = focal_loss(
                logits.contiguous(), targets.contiguous(), reduction=reduction, **copies
            )
            torch.testing.assert_close(got, wanted, rtol=0 if reduction == "none" else 1e-6, atol=0)


@case
def nothing_is_copied():
    """The peak of the memory in use grows by the gradient, and by no copy of the logits."""
    import resource

    logits = torch.ones(16, 1024, 1024).permute(2, 0, 1)[::2]
    targets = torch.ones(16, 1024, 1024, dtype=torch.uint8).permute(2, 0, 1)[::2]
    focal_loss(logits[:, :1], targets[:, :1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    focal_loss(logits, targets)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    outputs = logits.numel() * 4 / 2**20
    note("growth of memory, of the gradient's", torch.float32, grown / outputs, 1.25)
    assert grown <= 1.25 * outputs, f"{grown} MiB, the gradient has {outputs}"


@case
def errors_are_exceptions():
    logits = random_logits(4, 3)
    for bad in (
        lambda: focal_loss(logits, torch.full((4, 3), 1.5)),
        lambda: focal_loss(logits, torch.tensor([0, 1, 2, 3])),
        lambda: focal_loss(logits, torch.zeros(4, 3), gamma=-1.0),
        lambda: focal_loss(logits, torch.zeros(3, 4)),
    ):
        try:
            bad()
        except ValueError:
            continue
        raise AssertionError("no error")


def main():
    failed = 0
    for function in cases:
        torch.manual_seed(1)
        print(f"[ RUN      ] {function.__name__}", flush=True)
        try:
            function()
            print(f"[       OK ] {function.__name__}")
        except Exception:
            traceback.print_exc(file=sys.stdout)
            print(f"[  FAILED  ] {function.__name__}")
            failed += 1
    print(f"\n{'largest error, of the largest value':<44}{'':>10}{'found':>10}{'allowed':>10}")
    for (name, dtype), (found, allowed) in differences.items():
        print(f"{name:<44}{dtype:>10}{found:>10.1e}{allowed:>10.1e}")
    return failed > 0


sys.exit(main())
