#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Compares libfocalghm with PyTorch: time and error of loss and gradient.

Needs, on Debian 12:
    apt-get install -y --no-install-recommends python3-torch python3-torchvision
Run, after the library was built in build/:
    /usr/bin/python3 bench/compare_torch.py

Focal loss is torchvision.ops.sigmoid_focal_loss, forward and backward.  GHM-C is
what mmdetection 3.x does: a loop over the bins with a few tensor operations for
each.  Both sides read the same arrays and take turns; the times are medians.  The
library is called through ctypes.  Errors are those of the gradient, the largest
over all elements, in ulp of float32, against float64.  Nothing else should run: where a
core is taken away, calls on two threads wait for it.

Prints Markdown.  Exits with 77 if a package is missing.
"""

import argparse
import ctypes
import os
import pathlib
import re
import statistics
import sys
import time

EXIT_SKIPPED = 77

try:
    import numpy
    import torch
    import torch.nn.functional
    import torchvision
    from torchvision.ops import sigmoid_focal_loss
except (ImportError, OSError, RuntimeError, AttributeError) as error:
    print(f"PyTorch and torchvision cannot be used by {sys.executable}: {error}\n"
          "On Debian install python3-torch and python3-torchvision, and run this "
          "with /usr/bin/python3.", file=sys.stderr)
    sys.exit(EXIT_SKIPPED)

SIZES = [4096, 65536, 2**20, 2**24]
THREADS = [1, 2]
BINS = 10
GAMMA = 2.0
ALPHA = 0.25

# A sample is long enough for the clock; there are some of each, for a median.
SAMPLE_SECONDS = 0.01
ROUNDS_MIN = 5

# The threads of either side wait for more work by spinning for a while.  They must
# not do so while the other side is timed.
SETTLE_SECONDS = 0.05

# Both sides must compute the same loss, to this relative error.
SAME_LOSS = 1e-4

# How many elements at a time are computed in float64.
CHUNK = 2**20


# The library ----------------------------------------------------------------

def fail(message):
    print(message, file=sys.stderr)
    sys.exit(1)


class Library:
    """The C functions, their handles, and a pool."""

    def __init__(self, path):
        try:
            self.c = ctypes.CDLL(str(path))
        except OSError as error:
            fail(f"{error}\nBuild the library first, or say where it is: "
                 "--library PATH")
        pointer = ctypes.c_void_p
        arrays = [pointer, pointer, ctypes.c_size_t] + 7 * [pointer]
        self.c.fghm_focal_f32.argtypes = arrays
        self.c.fghm_ghm_step_f32.argtypes = arrays
        self.c.fghm_ghm_get_counts.argtypes = [pointer, ctypes.c_size_t, pointer]
        self.c.fghm_pool_create.argtypes = [pointer, ctypes.c_size_t]
        self.c.fghm_pool_destroy.argtypes = [pointer]
        self.c.fghm_pool_get_threads.argtypes = [pointer, pointer]
        self.c.fghm_status_string.restype = ctypes.c_char_p
        self.c.fghm_version.restype = ctypes.c_char_p
        self.c.fghm_isa_name.restype = ctypes.c_char_p
        self.focal = pointer()
        self.ghm = pointer()
        self.pool = pointer()
        # gamma 2, alpha 0.25 and the mean; classification, 10 bins and the mean.
        self.check(self.c.fghm_focal_create(ctypes.byref(self.focal)))
        self.check(self.c.fghm_ghm_create(ctypes.byref(self.ghm), 1))

    def check(self, status):
        if status != 0:
            fail("libfocalghm: " + self.c.fghm_status_string(status).decode())

    def set_threads(self, threads):
        self.c.fghm_pool_destroy(self.pool)
        self.pool = ctypes.c_void_p()
        self.check(self.c.fghm_pool_create(ctypes.byref(self.pool), threads))
        made = ctypes.c_size_t()
        self.check(self.c.fghm_pool_get_threads(self.pool, ctypes.byref(made)))
        if made.value != threads:
            fail(f"Asked for {threads} threads, got {made.value}")

    def counts(self):
        counts = numpy.zeros(BINS + 1, dtype=numpy.uint64)
        self.check(self.c.fghm_ghm_get_counts(self.ghm, BINS + 1, counts.ctypes.data))
        return counts[:BINS]


# What is compared -----------------------------------------------------------

class Batch:
    """As a detector makes it: one element in ten is positive."""

    def __init__(self, size):
        random = numpy.random.default_rng(size)
        logits = random.uniform(-8, 4, size).astype(numpy.float32)
        targets = (random.random(size) < 0.1).astype(numpy.float32)
        self.size = size
        self.logits = torch.from_numpy(logits).requires_grad_()
        self.targets = torch.from_numpy(targets)
        self.mask = torch.ones(size)
        self.gradient = torch.zeros(size)  # of the library


def focal_torch(batch):
    batch.logits.grad = None
    loss = sigmoid_focal_loss(batch.logits, batch.targets, alpha=ALPHA, gamma=GAMMA,
                              reduction="mean")
    loss.backward()
    return loss.item()


def focal_library(library, batch):
    loss = ctypes.c_double()
    library.check(library.c.fghm_focal_f32(
        library.focal, library.pool, batch.size, batch.logits.data_ptr(),
        batch.targets.data_ptr(), None, ctypes.byref(loss), None,
        batch.gradient.data_ptr(), None))
    return loss.value


def edges_torch():
    edges = torch.arange(BINS + 1).float() / BINS
    edges[-1] += 1e-6
    return edges


def gradient_norm_torch(batch):
    return (batch.logits.sigmoid().detach() - batch.targets).abs()


def ghmc_torch(batch):
    batch.logits.grad = None
    edges = edges_torch()
    weights = torch.zeros_like(batch.logits)
    norm = gradient_norm_torch(batch)
    valid = batch.mask > 0
    total = max(valid.float().sum().item(), 1.0)
    nonempty = 0
    for index in range(BINS):
        inside = (norm >= edges[index]) & (norm < edges[index + 1]) & valid
        count = inside.sum().item()
        if count > 0:
            weights[inside] = total / count
            nonempty += 1
    if nonempty > 0:
        weights = weights / nonempty
    element_loss = torch.nn.functional.binary_cross_entropy_with_logits(
        batch.logits, batch.targets, reduction="none")
    loss = (element_loss * weights).sum() / (total + torch.finfo(torch.float32).eps)
    loss.backward()
    return loss.item()


def ghmc_library(library, batch):
    loss = ctypes.c_double()
    library.check(library.c.fghm_ghm_step_f32(
        library.ghm, library.pool, batch.size, batch.logits.data_ptr(),
        batch.targets.data_ptr(), batch.mask.data_ptr(), ctypes.byref(loss), None,
        batch.gradient.data_ptr(), None))
    return loss.value


# Errors ---------------------------------------------------------------------

class Exact:
    """Elements in float64, without cancellation."""

    def __init__(self, batch, part):
        logits = batch.logits.detach().numpy()[part].astype(numpy.float64)
        self.positive = batch.targets.numpy()[part] == 1
        self.sign = numpy.where(self.positive, 1.0, -1.0)
        margin = self.sign * logits
        small = numpy.exp(-numpy.abs(margin))
        near = 1 / (1 + small)
        far = small / (1 + small)
        self.right = numpy.where(margin >= 0, near, far)  # p_t
        self.wrong = numpy.where(margin >= 0, far, near)  # 1 - p_t
        self.cross_entropy = numpy.maximum(-margin, 0) + numpy.log1p(small)

    def focal_gradient(self):
        alpha = numpy.where(self.positive, ALPHA, 1 - ALPHA)
        return -self.sign * alpha * self.wrong**GAMMA * (
            self.wrong + GAMMA * self.right * self.cross_entropy)

    def bins(self):
        edges = numpy.arange(BINS + 1) / BINS
        return numpy.minimum(numpy.searchsorted(edges, self.wrong, "right"), BINS) - 1

    def ghmc_gradient(self, weights, bins):
        return -self.sign * self.wrong * weights[bins]


def parts(batch):
    return [slice(first, min(first + CHUNK, batch.size))
            for first in range(0, batch.size, CHUNK)]


def largest_error(gradient, expected):
    """In ulp of `expected` as a float32."""
    exponent = numpy.frexp(expected)[1]
    ulp = numpy.ldexp(1.0, numpy.maximum(exponent - 24, -149))
    return numpy.max(numpy.abs(gradient - expected) / ulp)


def bin_weights(counts):
    counts = counts.astype(numpy.float64)
    nonempty = numpy.count_nonzero(counts)
    return numpy.divide(counts.sum(), counts * nonempty, out=numpy.zeros(BINS),
                        where=counts > 0)


def focal_errors(library, batch):
    theirs = []
    ours = []
    for part in parts(batch):
        expected = Exact(batch, part).focal_gradient() / batch.size
        theirs.append(largest_error(batch.logits.grad.numpy()[part], expected))
        ours.append(largest_error(batch.gradient.numpy()[part], expected))
    return [f"{max(theirs):.3g}", f"{max(ours):.3g}"]


def ghmc_errors(library, batch):
    norm = gradient_norm_torch(batch)
    their_bins = torch.bucketize(norm, edges_torch(), right=True).numpy() - 1
    their_weights = bin_weights(numpy.bincount(their_bins, minlength=BINS))
    our_counts = library.counts()
    our_weights = bin_weights(our_counts)
    counts = numpy.zeros(BINS, dtype=numpy.uint64)
    differ = 0
    theirs = []
    theirs_own = []
    ours = []
    for part in parts(batch):
        exact = Exact(batch, part)
        bins = exact.bins()
        counts += numpy.bincount(bins, minlength=BINS).astype(numpy.uint64)
        differ += numpy.count_nonzero(bins != their_bins[part])
        gradient = batch.logits.grad.numpy()[part]
        expected = exact.ghmc_gradient(our_weights, bins) / batch.size
        own = exact.ghmc_gradient(their_weights, their_bins[part]) / batch.size
        theirs.append(largest_error(gradient, expected))
        theirs_own.append(largest_error(gradient, own))
        ours.append(largest_error(batch.gradient.numpy()[part], expected))
    if not numpy.array_equal(counts, our_counts):
        fail(f"The library counted {our_counts}, float64 {counts}")
    return [f"{max(theirs):.3g}", f"{max(theirs_own):.3g}", f"{max(ours):.3g}",
            str(differ)]


# Times ----------------------------------------------------------------------

def sample(run, calls):
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls


def calls_per_sample(run):
    calls = 1
    while sample(run, calls) * calls < SAMPLE_SECONDS:
        calls *= 2
    return calls


def time_in_turns(contenders, seconds):
    """The samples of each contender, in seconds per call."""
    calls = [calls_per_sample(run) for run in contenders]
    samples = [[] for _ in contenders]
    start = time.perf_counter()
    while (len(samples[0]) < ROUNDS_MIN
           or time.perf_counter() - start < seconds):
        for index, run in enumerate(contenders):
            time.sleep(SETTLE_SECONDS)
            run()
            samples[index].append(sample(run, calls[index]))
    return samples


def compare(library, batch, seconds, loss_torch, loss_library):
    """Their ns per element, ours, and the ratio."""
    theirs = loss_torch(batch)
    ours = loss_library(library, batch)
    if not abs(theirs - ours) <= SAME_LOSS * abs(ours):
        fail(f"PyTorch's loss is {theirs}, the library's {ours}")
    samples = time_in_turns([lambda: loss_torch(batch),
                             lambda: loss_library(library, batch)], seconds)
    ratio = statistics.median(a / b for a, b in zip(*samples))
    nanoseconds = [statistics.median(times) * 1e9 / batch.size for times in samples]
    return [f"{nanoseconds[0]:.3g}", f"{nanoseconds[1]:.3g}", f"{ratio:.3g}"]


def print_row(cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def print_table(library, arguments, name, columns, loss_torch, loss_library, errors):
    columns = ["threads", "elements"] + columns
    print(f"\n{name}\n")
    print_row(columns)
    print_row(len(columns) * ["---:"])
    for threads in THREADS:
        torch.set_num_threads(threads)
        library.set_threads(threads)
        for size in SIZES:
            batch = Batch(size)
            cells = compare(library, batch, arguments.seconds, loss_torch,
                            loss_library)
            print_row([str(threads), str(size)] + cells + errors(library, batch))


# The machine ----------------------------------------------------------------

def cpu_model():
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    fields = [re.search(rf"^{name}\s*: (.*)$", text, re.MULTILINE)
              for name in ("model name", "cpu family", "model")]
    if not all(fields):
        return "unknown processor"
    return "{}, family {}, model {}".format(*(field.group(1) for field in fields))


def compiler(path):
    """As compilers write their name into what they make, clang beside gcc."""
    content = path.read_bytes()
    found = (re.search(rb"[\w ]*clang version [^\0]*", content)
             or re.search(rb"GCC: [^\0]*", content))
    return found.group().decode() if found else "unknown compiler"


def machine(library, path):
    capability = re.search(r"CPU capability usage: (\w+)", torch.__config__.show())
    torch_isa = f" ({capability.group(1)})" if capability else ""
    return (f"{cpu_model()}, {len(os.sched_getaffinity(0))} cores; "
            f"PyTorch {torch.__version__}{torch_isa}, "
            f"torchvision {torchvision.__version__}; "
            f"libfocalghm {library.c.fghm_version().decode()} "
            f"({library.c.fghm_isa_name().decode()}), {compiler(path)}.")


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description="Compares libfocalghm with PyTorch.")
    parser.add_argument("--library", type=pathlib.Path, metavar="PATH",
                        default=root / "build" / "libfocalghm.so",
                        help="the shared library (default: build/libfocalghm.so)")
    parser.add_argument("--seconds", type=float, default=2.0,
                        help="time for each line of the tables (default: 2)")
    arguments = parser.parse_args()
    library = Library(arguments.library)
    print_table(library, arguments, "Focal loss, gamma 2, alpha 0.25, mean:",
                ["torchvision, ns", "libfocalghm, ns", "times faster",
                 "torchvision, ulp", "libfocalghm, ulp"],
                focal_torch, focal_library, focal_errors)
    print_table(library, arguments, "GHM-C, 10 bins, mean:",
                ["PyTorch, ns", "libfocalghm, ns", "times faster", "PyTorch, ulp",
                 "the same for its own bins", "libfocalghm, ulp", "bins differ"],
                ghmc_torch, ghmc_library, ghmc_errors)
    print("\n" + machine(library, arguments.library))


if __name__ == "__main__":
    main()
