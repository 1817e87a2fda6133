# SPDX-License-Identifier: MIT
"""Compares the speed of libfocalghm with that of its peers: loss and gradient, float32.

bench/peers.md says what is compared, how to install it, and shows a table.  Run, after
the library was built in build/:

    python3 bench/compare_peers.py

All read the same inputs, must agree, and take turns.  A process for each number of
threads, which has as many processors, since not every peer can be told how many
threads to use.  Nothing else should run: where a processor is taken away, calls on
two threads wait for it.

Prints Markdown.  Exits with 77 if PyTorch, through which the library is called too,
cannot be used; other packages that are missing are left out.
"""

import argparse
import ctypes
import importlib
import itertools
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXIT_SKIPPED = 77


def optional(name):
    try:
        return importlib.import_module(name)
    except (ImportError, OSError, RuntimeError, AttributeError):
        return None


numpy = optional("numpy")
torch = optional("torch")
torchvision = optional("torchvision")
numba = optional("numba")
jax = optional("jax")

PEERS = ["PyTorch", "torch.compile", "numba", "JAX"]
COLUMNS = ["threads", "loss", "shape", "ns, least", "ns, median"] + PEERS

FOCAL_SIZES = [2**16, 2**22]
SOFTMAX_SIZE = 2**20
SOFTMAX_CLASSES = [2, 80, 1000, 128256]
GAMMA = 2
ALPHA = 0.25
BINS = 10

# A sample is long enough for the clock; there are some of each, for a median.
SAMPLE_SECONDS = 0.005
ROUNDS_MIN = 7

# Threads wait for more work by spinning for a while.  They must not do so while
# another contender is timed.
SETTLE_SECONDS = 0.02

# All must compute the same loss and gradient, to this relative error.  (An element next to
# the edge of a bin of GHM may be in the neighbouring one.)
SAME = 1e-4

# glibc keeps what a peer allocates in each call, rather than to have it from the system
# anew; PyTorch compiles in its own process; JAX looks for no accelerator.
ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": "8000000000",
    "MALLOC_TRIM_THRESHOLD_": "16000000000",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
}


# Peers ----------------------------------------------------------------------
# Closed forms write the gradient into an array that is there already.  They take
# log(1 + e), which loses digits of small losses: log1p(e) does not vectorize, and takes
# torch.compile eight times as long.

def focal_closed_form(logits, targets, gradient):
    sign = 1 - 2 * targets
    margin = sign * logits
    small = torch.exp(-margin.abs())
    near = 1 / (1 + small)
    wrong = torch.where(margin >= 0, near, small * near)
    cross_entropy = torch.log(1 + small) + margin.clamp(min=0)
    factor = (1 - ALPHA + (2 * ALPHA - 1) * targets) * wrong * wrong
    slope = factor * (wrong + GAMMA * (1 - wrong) * cross_entropy)
    gradient.copy_(sign * slope / logits.numel())
    return (factor * cross_entropy).mean()


def focal_loop(logits, targets, gradient):
    one = numpy.float32(1)
    scale = numpy.float32(1 / logits.size)
    total = 0.0
    for i in numba.prange(logits.size):
        positive = targets[i] > 0
        margin = -logits[i] if positive else logits[i]
        small = math.exp(-abs(margin))
        near = one / (one + small)
        wrong = near if margin >= 0 else small * near
        cross_entropy = math.log(one + small) + max(margin, numpy.float32(0))
        factor = numpy.float32(ALPHA if positive else 1 - ALPHA) * wrong * wrong
        slope = factor * (wrong + numpy.float32(GAMMA) * (one - wrong) * cross_entropy)
        gradient[i] = (-slope if positive else slope) * scale
        total += factor * cross_entropy
    return total / logits.size


def focal_jax(logits, targets):
    right = jax.nn.sigmoid((2 * targets - 1) * logits)
    cross_entropy = jax.nn.softplus((1 - 2 * targets) * logits)
    alpha = ALPHA * targets + (1 - ALPHA) * (1 - targets)
    return (alpha * (1 - right) ** GAMMA * cross_entropy).mean()


def softmax_eager(logits, labels, gamma):
    if gamma == 0:
        return torch.nn.functional.cross_entropy(logits, labels)
    cross_entropy = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    return ((1 - torch.exp(-cross_entropy)) ** gamma * cross_entropy).mean()


def softmax_closed_form(logits, labels, gradient, gamma):
    labels = labels[:, None]
    largest = logits.amax(1, keepdim=True)
    gradient.copy_(torch.exp(logits - largest))
    total = gradient.sum(1, keepdim=True)
    cross_entropy = total.log() + largest - logits.gather(1, labels)
    right = torch.exp(-cross_entropy)
    wrong = 1 - right
    slope = torch.ones_like(wrong)
    if gamma > 0:
        slope = wrong ** (gamma - 1) * (wrong + gamma * right * cross_entropy)
    slope = slope / len(logits)
    gradient.mul_(slope / total)
    gradient.scatter_add_(1, labels, -slope)
    return (wrong**gamma * cross_entropy).mean()


def softmax_jax(logits, labels, gamma):
    log_probabilities = jax.nn.log_softmax(logits)
    log_right = jax.numpy.take_along_axis(log_probabilities, labels[:, None], 1)
    return -((1 - jax.numpy.exp(log_right)) ** gamma * log_right).mean()


def ghmc_eager(logits, targets):
    """As mmdetection has it: a loop over the bins."""
    edges = torch.arange(BINS + 1).float() / BINS
    edges[-1] += 1e-6
    weights = torch.zeros_like(logits)
    norm = (logits.detach().sigmoid() - targets).abs()
    nonempty = 0
    for low, high in itertools.pairwise(edges):
        inside = (norm >= low) & (norm < high)
        count = inside.sum().item()
        if count > 0:
            weights[inside] = norm.numel() / count
            nonempty += 1
    return torch.nn.functional.binary_cross_entropy_with_logits(
        logits, targets, weights / nonempty)


def ghmc_closed_form(logits, targets, gradient):
    """Counts by comparisons, which vectorize: faster than bincount or scatter_add."""
    sign = 1 - 2 * targets
    margin = sign * logits
    small = torch.exp(-margin.abs())
    near = 1 / (1 + small)
    norm = torch.where(margin >= 0, near, small * near)
    cross_entropy = torch.log(1 + small) + margin.clamp(min=0)
    at_least = torch.stack([(norm >= bin / BINS).float().sum() for bin in range(BINS)]
                           + [torch.zeros(())])
    counts = at_least[:-1] - at_least[1:]
    nonempty = (counts > 0).sum()
    weights = torch.where(counts > 0, logits.numel() / (counts * nonempty), 0.0)
    weight = weights[(norm * BINS).int().clamp(max=BINS - 1)]
    gradient.copy_(sign * norm * weight / logits.numel())
    return (weight * cross_entropy).mean()


def ghmc_loop(logits, targets, gradient, threads):
    one = numpy.float32(1)
    counts = numpy.zeros((threads, BINS), numpy.int64)
    part = (logits.size + threads - 1) // threads
    for thread in numba.prange(threads):
        for i in range(thread * part, min((thread + 1) * part, logits.size)):
            margin = -logits[i] if targets[i] > 0 else logits[i]
            norm = one / (one + math.exp(-margin))
            gradient[i] = norm
            counts[thread, min(int(norm * numpy.float32(BINS)), BINS - 1)] += 1
    sums = counts.sum(axis=0)
    nonempty = (sums > 0).sum()
    weights = (logits.size / (numpy.maximum(sums, 1) * nonempty)).astype(numpy.float32)
    scale = numpy.float32(1 / logits.size)
    total = 0.0
    for i in numba.prange(logits.size):
        positive = targets[i] > 0
        margin = -logits[i] if positive else logits[i]
        norm = gradient[i]
        weight = weights[min(int(norm * numpy.float32(BINS)), BINS - 1)]
        cross_entropy = math.log(one + math.exp(-abs(margin))) + max(margin, numpy.float32(0))
        gradient[i] = (-norm if positive else norm) * weight * scale
        total += weight * cross_entropy
    return total / logits.size


# How they are called: each contender returns loss and gradient ---------------

def eager(function, logits, *arguments):
    logits = logits.clone().requires_grad_()

    def run():
        logits.grad = None
        loss = function(logits, *arguments)
        loss.backward()
        return loss, logits.grad
    return run


def compiled(function, logits, targets, *arguments):
    gradient = torch.zeros_like(logits)
    fast = torch.compile(function, dynamic=False)
    return lambda: (fast(logits, targets, gradient, *arguments), gradient)


def jitted(function, logits, targets, *arguments):
    gradient = numpy.zeros_like(logits)
    fast = numba.njit(fastmath=True, parallel=numba.get_num_threads() > 1)(function)
    logits, targets = logits.numpy(), targets.numpy()
    return lambda: (fast(logits, targets, gradient, *arguments), gradient)


def differentiated(function, logits, targets, *arguments):
    fast = jax.jit(jax.value_and_grad(lambda x, t: function(x, t, *arguments)))
    logits, targets = jax.numpy.asarray(logits), jax.numpy.asarray(targets)
    return lambda: jax.block_until_ready(fast(logits, targets))


class Library:
    """Calls with all arguments made beforehand, as a C program has them."""

    def __init__(self, path, threads=1):
        os.environ["FOCALGHM_LIBRARY"] = str(path)
        sys.path.insert(0, str(ROOT / "bench" / "consumers" / "torch"))
        self.python = importlib.import_module("focal")
        self.c = self.python._library
        self.c.fghm_version.restype = ctypes.c_char_p
        self.c.fghm_isa_name.restype = ctypes.c_char_p
        self.pool = ctypes.c_void_p()
        if threads > 1:
            self.check(self.c.fghm_pool_create(ctypes.byref(self.pool),
                                               ctypes.c_size_t(threads)))

    def check(self, status):
        self.python._require(status)

    def create(self, kind, *arguments):
        handle = ctypes.c_void_p()
        create = getattr(self.c, f"fghm_{kind}_create")
        self.check(create(ctypes.byref(handle), *arguments))
        return handle

    def plain(self, function, handle, logits, targets):
        gradient = torch.zeros_like(logits)
        loss = ctypes.c_double()
        arguments = [handle, self.pool, ctypes.c_size_t(logits.numel()),
                     ctypes.c_void_p(logits.data_ptr()),
                     ctypes.c_void_p(targets.data_ptr()), None, ctypes.byref(loss), None,
                     ctypes.c_void_p(gradient.data_ptr()), None]

        def run():
            self.check(function(*arguments))
            return loss.value, gradient
        return run

    def focal(self, logits, targets):
        return self.plain(self.c.fghm_focal_f32, self.create("focal"), logits, targets)

    def ghmc(self, logits, targets):
        handle = self.create("ghm", 1)
        return self.plain(self.c.fghm_ghm_step_f32, handle, logits, targets)

    def softmax(self, logits, labels, gamma):
        handle = self.create("focal")
        self.check(self.c.fghm_focal_set_gamma(handle, gamma))
        gradient = torch.zeros_like(logits)
        batch, result = self.python._Batch(), self.python._Result()
        batch.ndim, batch.class_axis = 2, 1
        batch.shape[:2] = logits.shape
        batch.activation, batch.target_form = 1, 1  # softmax, labels
        for name, tensor in ("logits", logits), ("targets", labels), ("gradient", gradient):
            setattr(batch, name, self.python._Array(
                tensor.data_ptr(), self.python._DTYPES[tensor.dtype]))
        arguments = [handle, self.pool, ctypes.byref(batch), ctypes.byref(result)]

        def run():
            self.check(self.c.fghm_focal_batch(*arguments))
            return result.loss, gradient
        return run


# What is compared -----------------------------------------------------------

def contenders(candidates):
    """Those whose module is there, as functions without arguments."""
    return {peer: prepare(*arguments)
            for peer, (module, prepare, *arguments) in candidates.items() if module}


def detector(size):
    """As a detector makes them: one element in ten is positive."""
    random = numpy.random.default_rng(size)
    logits = random.uniform(-8, 4, size).astype(numpy.float32)
    targets = (random.random(size) < 0.1).astype(numpy.float32)
    return torch.from_numpy(logits), torch.from_numpy(targets)


def focal_cases(library):
    def torchvision_focal(logits, targets):
        return torchvision.ops.sigmoid_focal_loss(logits, targets, ALPHA, GAMMA, "mean")

    for size in FOCAL_SIZES:
        inputs = detector(size)
        yield f"focal, gamma {GAMMA}", f"{size}", library.focal(*inputs), contenders({
            "PyTorch": (torchvision, eager, torchvision_focal, *inputs),
            "torch.compile": (torch, compiled, focal_closed_form, *inputs),
            "numba": (numba, jitted, focal_loop, *inputs),
            "JAX": (jax, differentiated, focal_jax, *inputs)})


def softmax_cases(library):
    for gamma in GAMMA, 0:
        name = f"softmax, gamma {gamma}" if gamma else "cross-entropy"
        for classes in SOFTMAX_CLASSES:
            samples = SOFTMAX_SIZE // classes
            random = numpy.random.default_rng(classes)
            logits = torch.from_numpy(
                random.uniform(-8, 4, (samples, classes)).astype(numpy.float32))
            labels = torch.from_numpy(random.integers(0, classes, samples))
            inputs = logits, labels, gamma
            yield name, f"{samples} x {classes}", library.softmax(*inputs), contenders({
                "PyTorch": (torch, eager, softmax_eager, *inputs),
                "torch.compile": (torch, compiled, softmax_closed_form, *inputs),
                "JAX": (jax, differentiated, softmax_jax, *inputs)})


def ghmc_cases(library, threads):
    for size in FOCAL_SIZES:
        inputs = detector(size)
        yield f"GHM-C, {BINS} bins", f"{size}", library.ghmc(*inputs), contenders({
            "PyTorch": (torch, eager, ghmc_eager, *inputs),
            "torch.compile": (torch, compiled, ghmc_closed_form, *inputs),
            "numba": (numba, jitted, ghmc_loop, *inputs, threads)})


def difference(expected, found):
    """Of loss and gradient, the larger; of the gradient in the sum of absolute values."""
    loss, gradient = (numpy.asarray(part.detach() if torch.is_tensor(part) else part,
                                    numpy.float64) for part in found)
    expected_loss = expected[0]
    expected_gradient = expected[1].numpy().astype(numpy.float64)
    return max(abs(loss - expected_loss) / abs(expected_loss),
               numpy.abs(gradient - expected_gradient).sum()
               / numpy.abs(expected_gradient).sum())


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


def time_in_turns(runs, seconds):
    """The samples of each contender, in seconds per call."""
    calls = [calls_per_sample(run) for run in runs]
    samples = [[] for _ in runs]
    start = time.perf_counter()
    while len(samples[0]) < ROUNDS_MIN or time.perf_counter() - start < seconds:
        for run, count, times in zip(runs, calls, samples):
            time.sleep(SETTLE_SECONDS)
            run()
            times.append(sample(run, count))
    return samples


def print_row(cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def measure(arguments, threads):
    library = Library(arguments.library, threads)
    largest = 0.0
    for cases in focal_cases(library), softmax_cases(library), ghmc_cases(library, threads):
        for name, shape, ours, peers in cases:
            expected = ours()
            elements = expected[1].numel()
            for peer, run in peers.items():
                error = difference(expected, run())
                if not error <= SAME:
                    sys.exit(f"{name}, {shape}: {peer} differs from the library by {error:.1g}")
                largest = max(largest, error)
            our_times, *their_times = time_in_turns([ours, *peers.values()], arguments.seconds)
            cells = {peer: f"{min(times) / min(our_times):.3g} / "
                           + f"{statistics.median(map(float.__truediv__, times, our_times)):.3g}"
                     for peer, times in zip(peers, their_times)}
            print_row([str(threads), name, shape, f"{min(our_times) / elements * 1e9:.3g}",
                       f"{statistics.median(our_times) / elements * 1e9:.3g}"]
                      + [cells.get(peer, "") for peer in PEERS])
            torch.compiler.reset()
    print(f"Threads: {threads}; largest relative difference: {largest:.1g}",
          file=sys.stderr)


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


def gxx_version():
    """Of the compiler that torch.compile calls."""
    return subprocess.run([os.environ.get("CXX", "g++"), "-dumpfullversion"], check=True,
                          capture_output=True, text=True).stdout.strip()


def describe(path):
    library = Library(path)
    version, isa = library.c.fghm_version().decode(), library.c.fghm_isa_name().decode()
    described = [f"{cpu_model()}, {len(os.sched_getaffinity(0))} cores",
                 f"libfocalghm {version} ({isa}), {compiler(path)}",
                 f"Python {sys.version.split()[0]}",
                 f"PyTorch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()})",
                 f"its compiler g++ {gxx_version()}"]
    for name, module in ("torchvision", torchvision), ("numba", numba), ("JAX", jax):
        described.append(f"{name} {module.__version__}" if module
                         else f"{name} is not installed: skipped")
    return "; ".join(described) + "."


def main():
    cores = sorted(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description="Compares libfocalghm with its peers.")
    parser.add_argument("--library", type=pathlib.Path, metavar="PATH",
                        default=ROOT / "build" / "libfocalghm.so",
                        help="the shared library (default: build/libfocalghm.so)")
    parser.add_argument("--seconds", type=float, default=5.0,
                        help="time for each line of the table (default: 5)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2],
                        help="numbers of threads (default: 1 2)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not (numpy and torch):
        print(f"{sys.executable} has no usable PyTorch and numpy: bench/peers.md says how "
              "to install them", file=sys.stderr)
        sys.exit(EXIT_SKIPPED)
    if arguments.child:
        measure(arguments, len(cores))
        return
    print(describe(arguments.library) + "\n")
    print_row(COLUMNS)
    print_row(["---:", "---", "---"] + (len(COLUMNS) - 3) * ["---:"])
    for threads in arguments.threads:
        if threads > len(cores):
            sys.exit(f"{threads} threads need as many processors; there are {len(cores)}")
        os.sched_setaffinity(0, cores[:threads])
        child = subprocess.run([sys.executable, __file__, *sys.argv[1:], "--child"],
                               check=False, env=os.environ | ENVIRONMENT)
        if child.returncode != 0:
            sys.exit(1)


if __name__ == "__main__":
    main()
