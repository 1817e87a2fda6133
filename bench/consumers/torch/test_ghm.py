# SPDX-License-Identifier: MIT
"""GHM-C and GHM-R next to the usual loop over bins in PyTorch, as mmdetection has it.

The loop compares float norms with float edges: away from edges the bins are the library's,
which are those of real arithmetic; next to them an element may be in the neighbouring one.
"""

import ctypes
import os
import sys

import torch

LIBRARY = ctypes.CDLL(os.environ.get("FOCALGHM_LIBRARY", "libfocalghm.so.0"))
failed = []


def require(status):
    if status != 0:
        raise RuntimeError(f"status {status}")


def pointer(tensor):
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


class Handle:
    """A GHM handle with the reference rule of momentum; without mu for classification."""

    def __init__(self, bins, momentum=0.0, mu=None):
        self.bins = bins
        self.address = ctypes.c_void_p()
        require(LIBRARY.fghm_ghm_create(ctypes.byref(self.address), 1 if mu is None else 2))
        require(LIBRARY.fghm_ghm_set_bins(self.address, ctypes.c_size_t(bins)))
        require(LIBRARY.fghm_ghm_set_momentum(self.address, ctypes.c_double(momentum)))
        require(LIBRARY.fghm_ghm_set_momentum_rule(self.address, 1))
        if mu is not None:
            require(LIBRARY.fghm_ghm_set_mu(self.address, ctypes.c_double(mu)))

    def __del__(self):
        LIBRARY.fghm_ghm_destroy(self.address)

    def __call__(self, function, inputs, targets, mask):
        loss = ctypes.c_double()
        gradient = torch.empty_like(inputs)
        require(
            function(
                self.address, None, ctypes.c_size_t(inputs.numel()), pointer(inputs),
                pointer(targets), pointer(mask), ctypes.byref(loss), None, pointer(gradient), None,
            )
        )
        counts = (ctypes.c_uint64 * (self.bins + 1))()
        require(LIBRARY.fghm_ghm_get_counts(self.address, ctypes.c_size_t(len(counts)), counts))
        return loss.value, gradient, list(counts)[: self.bins]


class Loop:
    """The loop over bins."""

    def __init__(self, bins, momentum, last_edge):
        self.bins = bins
        self.momentum = momentum
        self.edges = torch.arange(bins + 1).float() / bins
        self.edges[-1] += last_edge
        self.average = torch.zeros(bins)

    def weights(self, norms, mask):
        weights = torch.zeros_like(norms)
        valid = mask > 0
        total = max(valid.float().sum().item(), 1.0)
        nonempty = 0
        counts = []
        for i in range(self.bins):
            inside = (norms >= self.edges[i]) & (norms < self.edges[i + 1]) & valid
            number = inside.sum().item()
            counts.append(number)
            if number > 0:
                m = self.momentum
                self.average[i] = m * self.average[i] + (1 - m) * number
                weights[inside] = total / self.average[i]
                nonempty += 1
        return weights / max(nonempty, 1), total, counts


def loop_ghmc(loop, x, t, mask):
    x = x.clone().requires_grad_()
    norms = (x.sigmoid().detach() - t).abs()
    weights, total, counts = loop.weights(norms, mask)
    terms = torch.nn.functional.binary_cross_entropy_with_logits(x, t, reduction="none")
    loss = (terms * weights).sum() / total
    loss.backward()
    return loss.item(), x.grad, counts


def loop_ghmr(loop, x, t, mask, mu):
    x = x.clone().requires_grad_()
    d = x - t
    root = torch.sqrt(d * d + mu * mu)
    weights, total, counts = loop.weights((d / root).abs().detach(), mask)
    loss = ((root - mu) * weights).sum() / total
    loss.backward()
    return loss.item(), x.grad, counts


def test(function):
    print(f"[ RUN      ] {function.__name__}")
    try:
        function()
        print(f"[       OK ] {function.__name__}")
    except AssertionError as error:
        print(f"{error}\n[  FAILED  ] {function.__name__}")
        failed.append(function.__name__)


def away_from_edges(norms, bins):
    place = norms * bins
    return (place - place.round()).abs() > 1e-3


def mask_for(keep):
    return keep.float() * (torch.rand(keep.shape) < 0.9)


def assert_same(ours, theirs, tolerance):
    assert ours[2] == theirs[2], f"counts {ours[2]}, the loop has {theirs[2]}"
    assert abs(ours[0] - theirs[0]) <= tolerance * abs(theirs[0]), f"{ours[0]}, {theirs[0]}"
    error = (ours[1] - theirs[1]).abs().max().item()
    size = theirs[1].abs().max().item()
    assert error <= tolerance * size, f"gradients differ by {error} of {size}"


def ghmc_equals_the_loop_away_from_edges():
    for bins in (1, 10, 30):
        for momentum in (0.0, 0.75):
            handle, loop = Handle(bins, momentum), Loop(bins, momentum, 1e-6)
            for step in range(4):
                x, t = torch.randn(20000) * 3 + step, (torch.rand(20000) < 0.1).float()
                mask = mask_for(away_from_edges((x.double().sigmoid() - t).abs(), bins))
                ours = handle(LIBRARY.fghm_ghm_step_f32, x, t, mask)
                assert_same(ours, loop_ghmc(loop, x, t, mask), 1e-4)


def ghmr_equals_the_loop_away_from_edges():
    for bins in (1, 10, 30):
        for momentum in (0.0, 0.7):
            handle, loop = Handle(bins, momentum, 0.02), Loop(bins, momentum, 1e3)
            for _ in range(4):
                x, t = torch.randn(20000) * 0.1, torch.randn(20000) * 0.1
                d = (x - t).double()
                norms = d.abs() / torch.sqrt(d * d + 0.02**2)
                mask = mask_for(away_from_edges(norms, bins))
                ours = handle(LIBRARY.fghm_ghm_step_f32, x, t, mask)
                assert_same(ours, loop_ghmr(loop, x, t, mask, 0.02), 1e-4)


def edges_differ_by_one_at_most():
    """One element at each edge: the loop may put it into the bin next to the right one."""
    for bins in (10, 20, 30, 50, 100):
        g = torch.arange(1, bins).double() / bins
        x = torch.log((1 - g) / g).float()
        t, mask = torch.ones_like(x), torch.ones_like(x)
        ours = Handle(bins)(LIBRARY.fghm_ghm_step_f32, x, t, mask)[2]
        theirs = loop_ghmc(Loop(bins, 0.0, 1e-6), x, t, mask)[2]
        assert sum(ours) == sum(theirs) == bins - 1
        ahead = 0  # elements that one has put into earlier bins than the other, so far
        for a, b in zip(ours, theirs):
            ahead += a - b
            assert abs(ahead) <= 1, f"bins {bins}: {ours}, the loop has {theirs}"


torch.manual_seed(1)
test(ghmc_equals_the_loop_away_from_edges)
test(ghmr_equals_the_loop_away_from_edges)
test(edges_differ_by_one_at_most)
sys.exit(1 if failed else 0)
