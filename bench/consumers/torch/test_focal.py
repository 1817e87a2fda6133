# SPDX-License-Identifier: MIT
"""Tests of focal.py, and how it compares with torchvision.  Reported as cmocka does; ends
with 77, and the reason, where torch is missing."""

import sys
import traceback

try:
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torchvision.ops import sigmoid_focal_loss
except ImportError as error:
    print(f"torch: left out, {error}")
    sys.exit(77)

import math

from focal import focal_loss

ULP = {torch.float64: 2.0**-52, torch.float32: 2.0**-23}


def random_logits(*shape, spread=3.0, dtype=torch.float64):
    return (torch.randn(*shape, dtype=torch.float64) * spread).to(dtype)


def random_targets(shape, dtype=torch.float64):
    return (torch.rand(shape) < 0.3).to(dtype)


def loss_and_gradient(function, logits, *arguments, **settings):
    leaf = logits.detach().requires_grad_()
    loss = function(leaf, *arguments, **settings)
    loss.sum().backward()
    return loss.detach(), leaf.grad


def worst(got, wanted):
    """The largest relative error."""
    return ((got.double() - wanted) / wanted).abs().max().item()


def reference(logits, targets, gamma=2.0, alpha=0.25):
    """Targets 0 or 1, in double, without a difference of near numbers."""
    positive = targets > 0.5
    z = torch.where(positive, logits.double(), -logits.double())
    softplus = torch.nn.functional.softplus(-z, threshold=1000)
    q = torch.sigmoid(-z)
    factor = torch.where(positive, alpha, 1 - alpha) * q**gamma
    slope = factor * (q + gamma * torch.sigmoid(z) * softplus)
    return factor * softplus, torch.where(positive, -slope, slope)


def softmax_reference(logits, labels, gamma=2.0):
    log_p = torch.log_softmax(logits, 1).gather(1, labels.unsqueeze(1)).squeeze(1)
    return -((-torch.expm1(log_p)) ** gamma) * log_p


class CopiesAreErrors(TorchDispatchMode):
    """Any operation that would make a copy of a tensor fails."""

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        name = function._schema.name
        assert name not in ("aten::clone", "aten::copy_", "aten::_to_copy"), name
        return function(*arguments, **(keywords or {}))


def gradients_are_those_of_differences():
    check = torch.autograd.gradcheck
    logits = random_logits(3, 4, 2, 2).requires_grad_()
    soft = torch.rand(3, 4, 2, 2, dtype=torch.float64)
    weights = torch.rand(3, 1, 2, 2, dtype=torch.float64)
    labels = torch.randint(0, 4, (3, 2, 2))
    labels[0, 0, 0] = -7
    for reduction in ("none", "sum", "mean", "mean_positives", "mean_valid", 5):
        for gamma in (0.0, 0.5, 2.0):
            settings = {"reduction": reduction, "gamma": gamma}
            assert check(lambda x: focal_loss(x, soft, weights=weights, **settings), logits)
            settings["ignore_index"] = -7
            assert check(lambda x: focal_loss(x, labels, **settings), logits)
            settings["activation"] = "softmax"
            assert check(lambda x: focal_loss(x, labels, **settings), logits)


def equals_torchvision_in_double():
    logits = random_logits(50, 20).clamp(-8, 8)
    for targets in (random_targets(logits.shape), torch.rand(50, 20, dtype=torch.float64)):
        for gamma in (1.0, 2.0, 3.5):
            for alpha in (0.25, None):
                for reduction in ("none", "mean", "sum"):
                    settings = {"gamma": gamma, "reduction": reduction}
                    ours = loss_and_gradient(focal_loss, logits, targets, alpha=alpha, **settings)
                    theirs = loss_and_gradient(
                        sigmoid_focal_loss, logits, targets,
                        alpha=-1 if alpha is None else alpha, **settings
                    )  # fmt: skip
                    for got, wanted in zip(ours, theirs):
                        torch.testing.assert_close(got, wanted, rtol=1e-11, atol=1e-14)


def is_nearer_than_torchvision_in_float():
    print("    largest relative error in float32     torchvision            libfocalghm")
    print("    logits within                         loss   gradient        loss   gradient")
    for limit in (2, 5, 10, 16):
        logits = torch.empty(200000).uniform_(-limit, limit)
        targets = random_targets(logits.shape, torch.float32)
        wanted = reference(logits, targets)
        errors = []
        for function in (sigmoid_focal_loss, focal_loss):
            got = loss_and_gradient(function, logits, targets, alpha=0.25, gamma=2.0,
                                    reduction="none")  # fmt: skip
            errors.append([worst(*pair) for pair in zip(got, wanted)])
        (loss, gradient), (our_loss, our_gradient) = errors
        print(f"    {limit:<34}{loss:>8.1e}   {gradient:>8.1e}"
              f"    {our_loss:>8.1e}   {our_gradient:>8.1e}")  # fmt: skip
        # focal.h: 8 ulp, and one for the factor of the backward pass.
        assert max(our_loss, our_gradient) <= 9 * ULP[torch.float32]
        assert our_loss < loss and our_gradient < gradient
    # 1 - p_t is a difference of floats there; the loss of a good prediction is lost.
    assert loss > 1e-2


def softmax_equals_log_softmax():
    for shape in ((40, 7), (6, 5, 3, 4)):
        logits = random_logits(*shape).clamp(-5, 5)
        labels = torch.randint(0, shape[1], shape[:1] + shape[2:])
        ours = loss_and_gradient(
            focal_loss, logits, labels, activation="softmax", reduction="none"
        )
        theirs = loss_and_gradient(softmax_reference, logits, labels)
        for got, wanted in zip(ours, theirs):
            torch.testing.assert_close(got, wanted, rtol=1e-11, atol=1e-13)
        labels[labels == 1] = -100
        mean, _ = loss_and_gradient(
            focal_loss, logits, labels, activation="softmax", ignore_index=-100,
            reduction="mean_valid"
        )  # fmt: skip
        kept = labels != -100
        wanted = softmax_reference(logits, labels.clamp(min=0))[kept].mean()
        torch.testing.assert_close(mean, wanted, rtol=1e-11, atol=0.0)


def labels_mean_one_hot():
    logits = random_logits(5, 4, 3, 2)
    labels = torch.randint(0, 5, (5, 3, 2))  # 4 is background
    one_hot = torch.nn.functional.one_hot(labels, 5)[..., :4].movedim(-1, 1)
    ours = loss_and_gradient(
        focal_loss, logits, labels, background="last", reduction="mean_positives"
    )
    wanted = loss_and_gradient(focal_loss, logits, one_hot, reduction=float((labels < 4).sum()))
    for got, expected in zip(ours, wanted):
        torch.testing.assert_close(got, expected, rtol=1e-15, atol=0.0)


def layouts_give_the_same_bits_without_copies():
    base = random_logits(6, 5, 8, 7, dtype=torch.float32)
    layouts = {
        "channels first": base,
        "channels last": base.contiguous(memory_format=torch.channels_last),
        "transposed": base.transpose(2, 3).contiguous().transpose(2, 3),
        "every second": torch.empty(6, 5, 16, 14)[:, :, ::2, ::2].copy_(base),
        "a window": torch.empty(9, 8, 11, 10)[2:8, 1:6, 3:11, 2:9].copy_(base),
    }
    labels = torch.randint(0, 5, (6, 8, 7))
    dense = random_targets(base.shape, torch.float32)
    cases = [
        (dense, {}),
        (dense.bool(), {}),
        (dense.transpose(0, 1).contiguous().transpose(0, 1), {}),
        (torch.ones(1, 1, 1, 1), {}),  # all strides 0
        (labels, {}),
        (labels.int(), {"activation": "softmax"}),
        (labels.transpose(1, 2).contiguous().transpose(1, 2), {"activation": "softmax"}),
        (torch.tensor(2).expand(6, 8, 7), {"activation": "softmax"}),
    ]
    for targets, settings in cases:
        plain = targets.contiguous()
        if plain.dim() == base.dim():
            plain = plain.expand(base.shape).contiguous()
        wanted = loss_and_gradient(focal_loss, base, plain, reduction="none", **settings)
        for name, logits in layouts.items():
            assert torch.equal(logits, base), name
            leaf = logits.detach().requires_grad_()
            with CopiesAreErrors():
                loss = focal_loss(leaf, targets, reduction="none", **settings)
            loss.sum().backward()
            assert torch.equal(loss, wanted[0]), name
            assert torch.equal(leaf.grad, wanted[1]), name


def half_precision_is_float_rounded_once():
    for dtype in (torch.float16, torch.bfloat16):
        logits = random_logits(30, 20, dtype=dtype)
        targets = random_targets(logits.shape, dtype)
        with CopiesAreErrors():
            focal_loss(logits, targets)
        got = loss_and_gradient(focal_loss, logits, targets, reduction="none")
        wanted = loss_and_gradient(focal_loss, logits.float(), targets.float(), reduction="none")
        for half, single in zip(got, wanted):
            assert half.dtype == dtype
            assert torch.equal(half, single.to(dtype))
        # float16 has no number as large as the divisor of this mean.
        many, targets = logits.repeat(200, 1), targets.repeat(200, 1)
        _, got = loss_and_gradient(lambda x, t: focal_loss(x, t) * 1024, many, targets)
        _, wanted = loss_and_gradient(
            lambda x, t: focal_loss(x, t) * 1024, many.float(), targets.float()
        )
        assert torch.equal(got, wanted.to(dtype))


def extremes_are_finite():
    logits = torch.tensor([-1e38, -200.0, -100.0, 100.0, 200.0, 1e38])
    for targets in (torch.zeros(6), torch.ones(6)):
        for gamma in (0.0, 0.5, 2.0):
            loss, gradient = loss_and_gradient(
                focal_loss, logits, targets, gamma=gamma, reduction="none"
            )
            assert loss.isfinite().all() and gradient.isfinite().all()


def errors_are_exceptions():
    logits = random_logits(4, 3)
    for targets, settings in (
        (torch.tensor([0, 1, 3, 2]), {}),  # no such class
        (torch.full((4, 3), 1.5), {}),
        (torch.ones(4, 3), {"activation": "softmax"}),
        (torch.ones(4, 3), {"gamma": -1.0}),
        (torch.ones(4, 3), {"reduction": "median"}),
    ):
        try:
            focal_loss(logits, targets, **settings)
        except ValueError:
            continue
        raise AssertionError(f"no error for {settings}")


def no_elements_are_fine():
    for shape in ((0,), (0, 3), (4, 0, 2)):
        logits = torch.zeros(shape, requires_grad=True)
        loss = focal_loss(logits, torch.zeros(shape), reduction="sum")
        loss.backward()
        assert loss.item() == 0 and logits.grad.shape == shape
        assert math.isnan(focal_loss(logits, torch.zeros(shape)).item())


CASES = (
    gradients_are_those_of_differences,
    equals_torchvision_in_double,
    is_nearer_than_torchvision_in_float,
    softmax_equals_log_softmax,
    labels_mean_one_hot,
    layouts_give_the_same_bits_without_copies,
    half_precision_is_float_rounded_once,
    extremes_are_finite,
    errors_are_exceptions,
    no_elements_are_fine,
)


def main():
    torch.set_num_threads(1)
    failed = 0
    for case in CASES:
        torch.manual_seed(1)
        print(f"[ RUN      ] {case.__name__}")
        try:
            case()
            print(f"[       OK ] {case.__name__}")
        except Exception:  # whatever it is, the other cases still run
            traceback.print_exc(file=sys.stdout)
            print(f"[  FAILED  ] {case.__name__}")
            failed += 1
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
