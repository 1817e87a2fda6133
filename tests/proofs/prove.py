#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves how right the exponentials, logarithms and reciprocals are that no test can try for every
double: prove.py [--show].

Each bound is a chain of links.  Polynomials and constants are compared with the functions by Sollya
(supnorm, which is certified; tables number by number), what rounding adds is bounded by Gappa, and
what the links make together is computed here, in rational numbers.  Coefficients, tables and
operations come out of the sources: see kernel_source.py.  The few functions that are put together by
hand here are compared with the text that they had then.

All of it is of numbers that are not subnormal, nor made from such, and in units of half an epsilon:
2^-53.  (Every float is tried by `exhaustive`.)  --show prints what Gappa finds in place of what is
to be proved."""

import concurrent.futures
import fractions
import math
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys

sys.dont_write_bytecode = True  # beside the sources

from arithmetic import Formula, Gappa, Value, dyadic
from kernel_source import Evaluation, Failure, Source, Struct, tokens_of

SRC = pathlib.Path(__file__).resolve().parents[2] / "src"
KERNELS = [SRC / name for name in ("vec/real.h", "vec/vec_scalar.h", "kernels/samples.h",
                                   "kernels/math_kernel.h", "kernels/softmax_kernel.h",
                                   "kernels/focal_kernel.h")]
DENSITY = [SRC / "ghm_density.c"]
DIGITS = {32: 24, 64: 53}
FORMATS = {32: (">f", ">I"), 64: (">d", ">Q")}
DENSITY_REDUCED_MAX = "0.01084"
TIMEOUT_SECONDS = 60  # each takes at most 2, where it holds
SHOW = "--show" in sys.argv

# What is left of the argument of an exponential; also with the second part of a pair; and w.
STEP_MAX, REDUCED_MAX, W_MAX = "0.04333", "0.0434", "0.045"
LOG_LEAST, LOG_MAX = "-0.0626", "0.07143"  # d
LOG_REST_MAX = "0.07"  # what the first part of d lacks, in units
LOG_LOW_MAX = "1b-8"  # the second part of log1p_sum

# What is put together by hand.  exact_sum is Knuth's: without error.
AS_READ = {
    "v_step":
        "return real_of(bits_of(entry) + shift_rounded(rounded, REAL_EXPONENT_SHIFT - 3));",
    "shift_rounded": """scalar_bits low = bits_of(rounded) & (scalar_bits)-1 >> shift;
        return low << shift;""",
    "v_lookup8": "return table[index & 7];",
    "exact_sum": """vreal high = v_add(a, b); vreal b_part = v_sub(high, a);
        vreal a_part = v_sub(high, b_part);
        return (struct pair){high, v_add(v_sub(a, a_part), v_sub(b, b_part))};""",
    "exponential_minus": """vreal bounded = v_min(v_set(EXP_MOST), a);
        vreal rounded = exp_rounded(bounded);
        return exponential_of(exp_reduced(bounded, rounded), rounded);""",
    "exponential_minus_pair": """vreal most = v_set(EXP_MOST); vreal bounded = v_min(most, a.high);
        vreal low = v_drop(v_le(most, a.high), a.low);
        vreal rounded = exp_rounded(bounded);
        return exponential_of(v_add(exp_reduced(bounded, rounded), low), rounded);""",
    "exp_minus": "return v_mul(exponential_sum(exponential_minus(a)), v_set(EXP_DROP));",
    "lifted_exp_minus":
        "return v_mul(exponential_sum(exponential_minus(a)), v_set(EXP_DROP * REAL_LIFT));",
    "exp_minus_exactly": "return pair_times(exponential_pair(exponential_minus(a)), EXP_DROP);",
    "lifted_exp_minus_exactly":
        "return pair_times(exponential_pair(exponential_minus(a)), EXP_DROP * REAL_LIFT);",
    "exp_minus_pair":
        "return v_mul(exponential_sum(exponential_minus_pair(a)), v_set(EXP_DROP));",
    "pair_times":
        "return (struct pair){v_mul(a.high, v_set(scale)), v_mul(a.low, v_set(scale))};",
    "log1p_sum": "return exact_softplus_of(e).log;",
    "log1p_pair": """struct pair sum = log1p_sum(e);
        return exact_sum_in_order(sum.high, sum.low);""",
    "log_entry_of": """vreal rounded = v_muladd(e, v_set(LOG_STEPS), v_set(REAL_ROUND));
        vindex index = v_index_bits(rounded);
        return (struct log_entry){log_lookup(log_factors, index), log_lookup(log_values, index)};""",
}

# What is read no further than that it is there.
STATEMENTS = {
    "exponentials_of": (
        "lifted ? lifted_exp_minus_exactly(magnitude) : exp_minus_exactly(magnitude);",
        "v_store(chunk->high + i, e.high);"),
    "softplus_of": ("reciprocal_of(e, reciprocal_start(of.factor, d, d2))",),
    "exact_softplus_of": ("log_entry_of(e.high)",
                          "reciprocal_of(e.high, reciprocal_start(of.factor, d.high, d2))"),
    "logistic_of": ("vmask easy = v_gt(v_set(REAL(0.0)), minus_z);",
                    "vreal smaller = v_nmuladd(e, v_mul(e, y), e);",
                    ".q = v_select(easy, smaller, y)"),
    # Of gamma 0, without a margin.
    "powered_of": ("struct softplus softplus = softplus_of(e.high);",
                   "return (struct powered){softplus.log, softplus.reciprocal,"),
    "hard_values": ("vreal y = powered.reciprocal;", "logistic_of(minus_z,", "vreal q = of.q",
                    "vreal loss = v_add(powered.log, v_max(minus_z, v_set(REAL(0.0))));",
                    "return (struct focal_values){loss, q, lift ? v_mul(lifted_p, q) : one};"),
    "sigmoid_of": ("double e = exp_minus(x < 0 ? -x : x);",
                   "int64_t smaller = (int64_t)(e / (1 + e) * NORM_ONE + 0.5);",
                   "return x > 0 ? NORM_ONE - smaller : smaller;"),
}


def check_text(source, functions):
    for function in functions:
        body = source.body(function)
        if function in AS_READ and body != " ".join(tokens_of(AS_READ[function])):
            raise Failure(f"{function} is not what the proofs are of: see AS_READ")
        for statement in STATEMENTS.get(function, ()):
            if " ".join(tokens_of(statement)) not in body:
                raise Failure(f"{function} is without {statement}")


class Job:
    """A script for a prover, and what it says when all is well."""

    def __init__(self, title, command, script):
        self.title, self.command, self.script = title, command, script

    def run(self):
        """None, or what went wrong."""
        try:
            done = subprocess.run(self.command, input=self.script, capture_output=True, text=True,
                                  check=False, timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            return f"not proved in {TIMEOUT_SECONDS} s"
        said = done.stdout + done.stderr
        if self.command[0] == "gappa":
            harmless = r"renaming identifier|no need for the rewriting"
            warnings = [line for line in said.split("\n") if re.search("Warning|Error", line)
                        and not re.search(harmless, line)]
            if SHOW and not warnings:
                print(f"{self.title}:", *re.findall(r" in \[[^\n]*", said))
            return "\n".join(warnings) if warnings or done.returncode else None
        if said.split() != ["true"] * self.script.count("print("):
            return said
        return None


def units(bound, bits):
    """A bound in units as a binary number, not above it."""
    scaled = int(fractions.Fraction(bound) * 2 ** 30)
    return dyadic(fractions.Fraction(scaled, 2 ** (30 + DIGITS[bits])))


class Proofs:
    def __init__(self):
        self.jobs = []
        self.results = []

    def gappa(self, title, arithmetic, hypothesis, bounds, hints=""):
        """bounds: expressions and what their magnitudes are at most, for Gappa, or ranges."""
        goal = " /\\ ".join(f"{expression} in ?" if SHOW else
                            f"{expression} in {bound}" if bound.startswith("[") else
                            f"|{expression}| <= {bound}" for expression, bound in bounds)
        self.jobs.append(Job(title, ["gappa"], arithmetic.script(f"{hypothesis} -> {goal}", hints)))

    def sollya(self, title, lines):
        script = "prec = 200!; display = powers!;\n" + "\n".join(lines) + "\nquit;\n"
        self.jobs.append(Job(title, ["sollya", "--warnonstderr"], script))

    def promise(self, text, bound, promised):
        self.results.append((text, float(bound), promised, fractions.Fraction(promised) >= bound))

    def run(self):
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            said = list(pool.map(Job.run, self.jobs))
        good = True
        for job, wrong in zip(self.jobs, said):
            good &= wrong is None
            print(f"[ RUN      ] {job.title}")
            if wrong is not None:
                print(wrong)
            print(f"[{'       OK' if wrong is None else '  FAILED '} ] {job.title}")
        for text, bound, promised, holds in self.results:
            good &= holds
            print(f"[ RUN      ] {text}\nat most {bound:.4f}, said to be {promised}\n"
                  f"[{'       OK' if holds else '  FAILED '} ] {text}")
        return good


def supnorm(polynomial, function, interval, kind, bound):
    return (f"print(sup(supnorm({polynomial}, {function}, {interval}, {kind}, 2^(-5)))"
            f" <= {bound});")


def row(bits, fused):
    return f"{'float' if bits == 32 else 'double'}{'' if fused else ', without fused'}"


# Exponentials ------------------------------------------------------------------------------------

def exponential_given(power, low):
    """For exponential_of: whatever the tables have."""
    return {"exponential_of.index": ("v_index_bits(rounded)", power),
            "exponential_of.power": ("v_step(v_lookup8(exp_powers, index), rounded)", power),
            "exponential_of.low": ("v_lookup8(exp_lows, index)", low)}


def exponential_formula(source, bits, x):
    """exp(-x) - 1."""
    formula = Formula(DIGITS[bits])
    one = formula.constant(1)
    of = Evaluation(source, formula, exponential_given(one, formula.constant(0)))
    exact = of.call("exponential_of", formula.variable(x), one)["w"].exact
    of.finish()
    return exact


def prove_exponential(proofs, source, bits, fused, links):
    """exp(-a) = exp(-r) 2^(n / 8) for r = a + n ln 2 / 8."""
    name = row(bits, fused)
    values = Evaluation(source, Formula(DIGITS[bits]))
    most = max(values.constant_of(macro).number for macro in ("EXP_MOST", "POWER_ZERO"))
    high, low, steps, middle = (values.constant_of(macro).text for macro in (
        "STEP_HIGH", "STEP_LOW", "STEPS_E", "REAL_ROUND"))

    arithmetic = Gappa(bits, fused, ("rounded", "exp_reduced_n"))
    evaluation = Evaluation(source, arithmetic)
    a = arithmetic.variable("a")
    rounded = arithmetic.named("rounded", evaluation.call("exp_rounded", a))
    r = arithmetic.named("r", evaluation.call("exp_reduced", a, rounded))
    proofs.gappa(f"exp: argument near 0 is not reduced, {name}", arithmetic, "a in [0, 0.0433]",
                 [("exp_reduced_n", "0")])
    arithmetic.lines.append("exact = exp_reduced_n * step + a;")
    hints = f"""
        exp_reduced_n * {high} + a -> (exp_reduced_n + a * {steps}) * {high}
                                      + a * (1 - {steps} * {high});
        exp_reduced_n + a * {steps} -> (exp_reduced_n - (rounded - {middle}))
                                       + (rounded - ({middle} - a * {steps}));
        r - exact -> (r - Mr) - exp_reduced_n * (step - ({high} + {low}));"""
    proofs.gappa(f"exp: argument, {name}", arithmetic,
                 f"a in [0.0433, {dyadic(most)}] /\\ |step - ({high} + {low})| <= {links['step']}",
                 [("r - exact", units(links["reduction"], bits)), ("r", STEP_MAX)], hints)

    arithmetic = Gappa(bits, fused)
    r, second = arithmetic.variable("r"), arithmetic.variable("second")
    arithmetic.named("sum", arithmetic.v_add(r, second))
    proofs.gappa(f"exp: second part of an argument, {name}", arithmetic,
                 f"|r| <= {STEP_MAX} /\\ |second| <= 1b-40",
                 [("sum - Msum", units(links["reduction"], bits)), ("sum", REDUCED_MAX)])

    # (1 + p) (1 + low) = 1 + want for p = exp(-r) - 1.
    arithmetic = Gappa(bits, fused)
    r, low = arithmetic.variable("r"), arithmetic.variable("low")
    one = arithmetic.constant(1)
    evaluation = Evaluation(source, arithmetic, exponential_given(one, low))
    arithmetic.named("w", evaluation.call("exponential_of", r, one)["w"])
    evaluation.finish()
    formula = exponential_formula(source, bits, "r")
    arithmetic.lines += [f"p = {formula};", "want = p + low + p * low;"]
    proofs.gappa(f"exp: rounding, {name}", arithmetic,
                 f"|r| <= {REDUCED_MAX} /\\ |low| <= {units(1, bits)}",
                 [("(w - want) / (1 + want)", units(links["exp"], bits)), ("w", W_MAX)],
                 "w - want -> (w - Mw) - low * (Mw - low); want -> Mw + low * (Mw - low);"
                 " $ r in 16;")

    arithmetic = Gappa(bits, fused)
    of = Struct(power=arithmetic.variable("power"), w=arithmetic.variable("w"))
    result = arithmetic.named("result", Evaluation(source, arithmetic).call("exponential_pair", of))
    high = result["high"].text
    rest = arithmetic.find(f"rnd(power - {arithmetic.with_names(high)})")
    arithmetic.lines += [f"before = {arithmetic.unrounded(result['high'])};",
                         f"low_before = {arithmetic.unrounded(result['low'])};",
                         "want = power * w + power;", f"got = {high} + result_low;"]
    hints = f"""
        got - before -> (result_low - low_before) + ({rest} - (power - {high}));
        low_before -> ({rest} - (power - {high})) - ({high} - before);
        want -> power * (1 + w);
        $ power in 8;"""
    proofs.gappa(f"exp: sum, {name}", arithmetic, f"power in [1, 2] /\\ |w| <= {W_MAX}",
                 [("(before - want) / want", units(links["exp_sum"], bits)),
                  ("got - before", "1b-100")], hints)


def lifted_given(power):
    """For lifted_exps: whatever the table has."""
    return {"lifted_exps.power": (
        "v_step(v_lookup8(exp_powers, v_index_bits(rounded[k])), rounded[k])", power)}


def prove_exponential_of_softmax(proofs, source, bits, fused, links):
    """ln 2 in one part: of the argument, half a unit in its last place."""
    name = row(bits, fused)
    arithmetic = Gappa(bits, fused, ("lifted_exps_w",))
    arithmetic.v_min = lambda a, b: b
    one, zero = arithmetic.constant(1), arithmetic.constant(0)
    evaluation = Evaluation(source, arithmetic, {
        **lifted_given(one), "lifted_exps.r": (
            "v_muladd(v_sub(rounded[k], v_set(REAL_ROUND)), v_set(STEP), x[k])",
            arithmetic.variable("r"))})
    evaluation.call("lifted_exps", one, [one], zero)
    evaluation.finish()
    arithmetic.lines.append(f"p = {exponential_formula(source, bits, 'r')};")
    proofs.gappa(f"exp of softmax: rounding, {name}", arithmetic, f"|r| <= {REDUCED_MAX}",
                 [("(lifted_exps_w - p) / (1 + p)", units(links["exp"], bits)),
                  ("lifted_exps_w", W_MAX)],
                 "lifted_exps_w - p -> lifted_exps_w - Mlifted_exps_w; p -> Mlifted_exps_w;"
                 " $ r in 16;")

    # ln 2 in one part takes a product that is exact only if it is fused.
    if fused:
        arithmetic = Gappa(bits, fused, ("lifted_exps_rounded",))
        a = arithmetic.variable("a")
        arithmetic.v_min = lambda *_: a
        evaluation = Evaluation(source, arithmetic, lifted_given(one))
        evaluation.call("lifted_exps", one, [one], zero)
        step, steps, middle = (evaluation.constant_of(macro).text for macro in (
            "STEP", "STEPS_E", "REAL_ROUND"))
        n = "M" + arithmetic.find(f"rnd(lifted_exps_rounded - {middle})")
        hints = f"""
            Mlifted_exps_r -> (a * {steps} + {n}) * {step} + a * (1 - {steps} * {step});
            a * {steps} + {n} -> lifted_exps_rounded - ({middle} - a * {steps});"""
        most = dyadic(evaluation.constant_of("EXP_MOST").number)
        proofs.gappa(f"exp of softmax: argument, {name}", arithmetic, f"a in [0, {most}]", [
            ("lifted_exps_r - Mlifted_exps_r", units(links["reduction_of_softmax"], bits)),
            ("lifted_exps_r", REDUCED_MAX)], hints)


# Logarithms and reciprocals ----------------------------------------------------------------------

def log_entries(source, bits):
    """Number, R, -log R, and from where to where e is, with a little room."""
    steps = Evaluation(source, Formula(DIGITS[bits])).constant_of("LOG_STEPS").number
    factors, values = source.array("log_factors"), source.array("log_values")
    room = fractions.Fraction(1, 2 ** 40)

    def below(number):
        return fractions.Fraction(math.floor(number * 2 ** 60), 2 ** 60)

    for i, (factor, value) in enumerate(zip(factors, values, strict=True)):
        half = fractions.Fraction(1, 2)
        least = max(fractions.Fraction(0), below((i - half) / steps) - room)
        most = min(fractions.Fraction(1), below((i + half) / steps) + room)
        yield i, factor, value, least, most


def of_square(source, bits, function, x, *first):
    """A function of a number and its square, without rounding."""
    formula = Formula(DIGITS[bits])
    x = formula.variable(x)
    return Evaluation(source, formula).call(
        function, *(formula.constant(number) for number in first), x, formula.v_mul(x, x)).exact


def relative_to_argument(arithmetic, tail):
    """Hints for log = e + d2 tail, of which e is a factor, however small."""
    t, exact, d2 = (arithmetic.with_names(x) for x in (tail.text, tail.exact, "softplus_of_d2"))
    before = arithmetic.unrounded(Value("log", ""))
    product = before[1:-1].removesuffix(" + e")
    square = f"({d2} - e * e) / (e * e)"
    rounding = "0" if "*" in product else f"({product} - {t} * {d2}) / ({t} * {d2})"
    nonzero = f"{{ e <> 0, {t} <> 0, {d2} <> 0 }}"
    arithmetic.lines += [f"before = {before};", f"product = {product};"]
    return f"""
        (log - Mlog) / Mlog -> (((log - before) / before) * (1 + product / e)
            + (before - Mlog) / e) / (1 + e * {exact}) {{ e <> 0, before <> 0, Mlog <> 0 }};
        Mlog -> e * (1 + e * {exact});
        before -> e * (1 + product / e) {{ e <> 0 }};
        product / e -> (1 + {rounding}) * ({t} * (1 + {square}) * e) {nonzero};
        (before - Mlog) / e -> {rounding} * ({t} * (1 + {square}) * e)
            + e * (({t} - {exact}) + {t} * ({square})) {nonzero};"""


def prove_softplus(proofs, source, bits, fused, links):
    """log1p(e) = -log R + log1p(d): errors of that for the entry's rounded logarithm."""
    name = row(bits, fused)
    arithmetic = Gappa(bits, fused, ("rounded",))
    evaluation = Evaluation(source, arithmetic)
    steps, middle = (evaluation.constant_of(macro) for macro in ("LOG_STEPS", "REAL_ROUND"))
    e = arithmetic.variable("e")
    arithmetic.named("rounded", arithmetic.v_muladd(e, steps, middle))
    last = len(source.array("log_factors")) - 1
    proofs.gappa(f"log1p: index, {name}", arithmetic, "e in [0, 1]",
                 [(f"rounded - {middle.text}", f"[0, {last}]"),
                  (f"rounded - (e * {steps.text} + {middle.text})", "0.500000000001")])

    for i, factor, value, least, most in log_entries(source, bits):
        arithmetic = Gappa(bits, fused)
        e = arithmetic.variable("e")
        entry = Struct(factor=arithmetic.constant(factor), value=arithmetic.constant(value))
        arithmetic.log_entry_of = lambda _, entry=entry: entry
        arithmetic.reciprocal_start = lambda *_: arithmetic.constant(1)
        evaluation = Evaluation(source, arithmetic)
        tails = evaluation.record("log_tail")
        arithmetic.named("log", evaluation.call("softplus_of", e)["log"])
        (d, _), tail = tails[0]
        r, start = entry["factor"].text, entry["value"].text
        arithmetic.lines += [f"D = {r} * e + ({r} - 1);",
                             f"tail = {of_square(source, bits, 'log_tail', 'D')};",
                             f"want = {start} + D + D * D * tail;"]
        hints = "$ e in 4;"
        if i == 0:
            # Below that, the result is d.
            least = fractions.Fraction(1, 2 ** 500)
            hints = relative_to_argument(arithmetic, tail)
        proofs.gappa(f"log1p: rounding, entry {i}, {name}", arithmetic,
                     f"e in [{dyadic(least)}, {dyadic(most)}]",
                     [("(log - Mlog) / Mlog", units(links["log"], bits)),
                      (d.text, f"[{LOG_LEAST}, {LOG_MAX}]"),
                      (f"{d.text} - {d.exact}", units(1, bits))],
                     hints + f"{d.exact} -> D; Mlog -> want;")


def sum_in_order(arithmetic, total, a, b, of):
    """Hints for what exact_sum_in_order makes: a sum of two that is named `total`."""
    high = arithmetic.with_names(of["high"].text)
    part = arithmetic.find(f"rnd({high} - {a})")
    return f"""
        {total} - ({a} + {b}) -> ({of['low'].text} - ({b} - {part})) - ({part} - ({high} - {a}));
        {high} - {a} -> ({high} - ({a} + {b})) + {b};
        {b} - {part} -> -({high} - ({a} + {b})) - ({part} - ({high} - {a}));"""


def prove_exact_softplus(proofs, source, bits, fused, links):
    """log1p(high + low) = -log R + log1p(D) = -log R + log1p(d) + (D - d) / (1 + d) - ..., where
    what is left out is less than the square of D - d.  The source has low (1 - d) for the quotient,
    which is wrong by less than D - d times d^2 / (1 + d), and what low is wrong by."""
    name = row(bits, fused)
    pre = "exact_softplus_of_"
    unit = units(1, bits)
    exact = units("0.000001", bits)
    d_range = f"[{LOG_LEAST}, {LOG_MAX}]"
    for i, factor, value, least, most in log_entries(source, bits):
        arithmetic = Gappa(bits, fused, (pre + "product", pre + "product_low"))
        e = Struct(high=arithmetic.variable("e"), low=arithmetic.variable("e_low"))
        entry = Struct(factor=arithmetic.constant(factor), value=arithmetic.constant(value))
        zero = arithmetic.constant(0)
        arithmetic.log_entry_of = lambda _, entry=entry: entry
        arithmetic.reciprocal_start = arithmetic.log_tail = lambda *_, zero=zero: zero
        evaluation = Evaluation(source, arithmetic)
        sums = evaluation.record("exact_sum_in_order", True)
        evaluation.call("exact_softplus_of", e)
        ((first, second), d), (_, log) = sums
        h, r, start = d["high"].text, entry["factor"].text, entry["value"].text
        arithmetic.lines += [f"D = {r} * (e + e_low) + ({r} - 1);",
                             f"d_sum = {h} + {d['low'].text};",
                             f"log_sum = {log['high'].text} + {log['low'].text};"]
        bounds = [(f"{first.text} - {first.exact}", "0"), ("d_sum - D", exact),
                  (h, d_range), (f"D - {h}", units(LOG_REST_MAX, bits)), (d["low"].text, unit)]
        a, b = (arithmetic.with_names(x.text) for x in (first, second))
        hints = sum_in_order(arithmetic, "d_sum", a, b, d)
        rounding = "0"
        if i > 0:  # R e is not e, and d is added to something
            rounding = f"({a} - M{a}) + ({b} - M{b}) + ({pre}product_low - M{pre}product_low)"
            bounds += [(f"log_sum - ({start} + {h})", exact), (log["low"].text, unit)]
            hints += sum_in_order(arithmetic, "log_sum", start, arithmetic.with_names(h), log)
        hints += f"""
            d_sum - D -> (d_sum - ({a} + {b})) + ({rounding});
            D - {h} -> -({h} - ({a} + {b})) - ({rounding});"""
        proofs.gappa(f"log1p, exactly: sums, entry {i}, {name}", arithmetic,
                     f"e in [{dyadic(least)}, {dyadic(most)}] /\\ |e_low| <= {unit}", bounds, hints)

    arithmetic = Gappa(bits, fused)
    h, low, log_low = (arithmetic.variable(x) for x in ("h", "low", "log_low"))
    zero = arithmetic.constant(0)
    parts = [Struct(high=h, low=low), Struct(high=h, low=log_low)]
    arithmetic.log_entry_of = lambda _: Struct(factor=arithmetic.constant(1), value=zero)
    arithmetic.reciprocal_start = lambda *_: zero
    arithmetic.exact_sum_in_order = lambda *_: parts.pop(0)
    result = Evaluation(source, arithmetic).call("exact_softplus_of", Struct(high=h, low=low))
    result = arithmetic.named("result", result["log"]["low"])
    arithmetic.lines.append("want = log_low + (low - h * low) + h * h * "
                            f"{of_square(source, bits, 'log_tail', 'h')};")
    proofs.gappa(f"log1p, exactly: rounding, {name}", arithmetic,
                 f"h in {d_range} /\\ |low| <= {unit} /\\ |log_low| <= {unit}",
                 [("result - Mresult", units(links["log_sum"], bits)), ("result", LOG_LOW_MAX)],
                 "Mresult -> want; $ h in 8;")

    arithmetic = Gappa(bits, fused)
    high, low = arithmetic.variable("high"), arithmetic.variable("low")
    of = Evaluation(source, arithmetic).call("exact_sum_in_order", high, low)
    arithmetic.lines.append(f"sum = {of['high'].text} + {of['low'].text};")
    proofs.gappa(f"log1p, as a pair: rounding, {name}", arithmetic,
                 f"high in [0, 0.7] /\\ |low| <= {LOG_LOW_MAX}",
                 [("sum - (high + low)", units(links["log_pair"], bits))],
                 sum_in_order(arithmetic, "sum", "high", "low", of))


def prove_reciprocal(proofs, source, bits, fused, links):
    """R / (1 + d), of which a step of Newton's squares the error."""
    name = row(bits, fused)
    arithmetic = Gappa(bits, fused)
    factor, d = arithmetic.variable("factor"), arithmetic.variable("d")
    arithmetic.named("start", Evaluation(source, arithmetic).call(
        "reciprocal_start", factor, d, arithmetic.named("d2", arithmetic.v_mul(d, d))))
    formula = of_square(source, bits, "reciprocal_start", "d", 1)
    arithmetic.lines.append(f"want = factor * {formula};")
    proofs.gappa(f"reciprocal: start, {name}", arithmetic,
                 f"factor in [0.5, 1] /\\ d in [{LOG_LEAST}, {LOG_MAX}]",
                 [("(start - Mstart) / Mstart", units(links["start"], bits))], "Mstart -> want;")

    arithmetic = Gappa(bits, fused, ("reciprocal_of_excess",))
    # The polynomial's error, that of d, and what the second part of e makes of d.
    error = fractions.Fraction(APPROXIMATIONS[bits]["start"]) / 2 ** 24 * 2 ** DIGITS[bits]
    newton = units(error + fractions.Fraction(links["start"]) + 3, bits)
    e, start = arithmetic.variable("e"), arithmetic.variable("start")
    arithmetic.named("result", Evaluation(source, arithmetic).call("reciprocal_of", e, start))
    arithmetic.lines += ["D = 1 + e;", "x = D * start - 1;"]
    excess = "reciprocal_of_excess"
    hints = f"""
        D * result - 1 -> (result - Mresult) / Mresult * (D * Mresult)
                          - (D * start) * ({excess} - x) - x * x {{ Mresult <> 0 }};
        D * Mresult -> 1 - (D * start) * ({excess} - x) - x * x;
        D * start -> 1 + x;
        {excess} - x -> {excess} - M{excess};
        M{excess} -> x;
        start * e -> 1 + x - start;"""
    # From 1/2 on, start - 1 is exact.
    proofs.gappa(f"reciprocal, {name}", arithmetic,
                 f"e in [0, 1] /\\ start in [0.5, 1.001] /\\ |x| <= {newton}",
                 [("D * result - 1", units(links["reciprocal"], bits))], hints)


def prove_minus_log_pair(proofs, source, bits, fused, links):
    """-log(m) = k ln 2 - log1p(r) - m.low / m.high: what comes to the logarithm of 1 + r."""
    name, digits = row(bits, fused), DIGITS[bits]
    sums = ("pair_sum_sum_high", "pair_sum_sum_low", "minus_log_pair_sum_high",
            "minus_log_pair_sum_low")
    powers = ("minus_log_pair_power_high", "minus_log_pair_power_low")
    arithmetic = Gappa(bits, fused, sums + powers)
    m_high, m_low, fraction, log_high, log_low = (arithmetic.variable(x) for x in (
        "m_high", "m_low", "fraction", "log_high", "log_low"))
    arithmetic.lines.append("k = fixed<0, ne>(k_);")
    logarithms_of = []

    def log1p_sum(e):
        logarithms_of.append(e["high"])
        return Struct(high=log_high, low=log_low)

    arithmetic.log1p_sum = log1p_sum
    evaluation = Evaluation(source, arithmetic, {
        "minus_log_pair.subnormal": ("m_not(v_gt(m.high, v_set(REAL_MIN)))", m_high),
        "minus_log_pair.lifted": (
            "v_mul(m.high, v_select(subnormal, v_set(REAL_LIFT), v_set(REAL(1.0))))", m_high),
        "minus_log_pair.fraction": ("v_fraction(lifted, &exponent)", fraction),
        "minus_log_pair.k": (
            "v_sub(v_keep(subnormal, v_set(REAL_LIFT_EXPONENT)), exponent)", Value("k", "k"))})
    result = evaluation.call("minus_log_pair", Struct(high=m_high, low=m_low))
    evaluation.finish()
    result = arithmetic.named("result", result)
    lows = arithmetic.find(f"rnd({powers[1]} + (-log_low))")
    added = arithmetic.find(f"rnd({sums[1]} + {lows})")
    high, low = (evaluation.constant_of(macro).text for macro in ("LN2_HIGH", "LN2_LOW"))
    second = arithmetic.with_names(result["low"].text)
    of = logarithms_of[0]
    arithmetic.lines += [f"got = {result['high'].text} + {second};",
                         "want = k * ln2 - log_high - log_low - m_low / m_high;"]
    hints = f"""
        got - want -> ({second} - M{second}) + ({added} - M{added})
                      + ({powers[0]} - M{powers[0]}) + ({powers[1]} - M{powers[1]})
                      - k * (ln2 - ({high} + {low})) {{ m_high <> 0 }};"""
    proofs.gappa(f"logarithms of pairs: rounding, {name}", arithmetic,
                 f"|k| <= 1138 /\\ fraction in [1, 2] /\\ log_high in [0, 0.6932]"
                 f" /\\ |log_low| <= {LOG_LOW_MAX} /\\ |m_low / m_high| <= 1b-{digits - 1}"
                 f" /\\ m_high in [1b-100, 1b100]"
                 f" /\\ |ln2 - ({high} + {low})| <= {links['ln2']}",
                 [("got - want", units(links["minus_log"], bits)),
                  (f"{of.text} - {of.exact}", "0")], hints)


# The exact gradient density: with a table, without fused multiply-add -----------------------------

def density_evaluation(source, arithmetic, bounded, power, steps=None):
    one = arithmetic.constant(1)
    given = {
        "exp_minus.bounded": ("a < 45 ? a : 45", bounded),
        "exp_minus.step": ("(uint64_t)(int64_t)steps", one),
        "exp_minus.halving_bits": ("(1023 - step / POWERS) << 52", one),
        "exp_minus.halving": ("memcpy(&halving, &halving_bits, sizeof halving)", one),
        "exp_minus.power": ("powers[step % POWERS]", power),
    }
    if steps is not None:
        given["exp_minus.r"] = (
            "(steps * (0x1.62e42feep-1 / POWERS) - bounded)"
            " + steps * (0x1.a39ef35793c76p-33 / POWERS)", steps)
    evaluation = Evaluation(source, arithmetic, given)
    result = evaluation.call("exp_minus", bounded)
    evaluation.finish()
    return result


def prove_density(proofs, links):
    source = Source(DENSITY, 64)
    check_text(source, ["sigmoid_of"])
    arithmetic = Gappa(64, False, ("exp_minus_rounded", "exp_minus_steps"))
    a = arithmetic.variable("a")
    density_evaluation(source, arithmetic, a, arithmetic.constant(1))
    proofs.gappa("exp of the density: argument near 0 is not reduced", arithmetic,
                 "a in [0, 0.0107]", [("exp_minus_steps", "0")])
    evaluation = Evaluation(source, arithmetic)
    scale, middle, high, low = (evaluation.constant_of(text).text for text in (
        "POWERS * 0x1.71547652b82fep+0", "0x1.8p52", "0x1.62e42feep-1 / POWERS",
        "0x1.a39ef35793c76p-33 / POWERS"))
    arithmetic.lines.append("exact = exp_minus_steps * ln2 - a;")
    hints = f"""
        exp_minus_steps * {high} - a -> (exp_minus_steps - a * {scale}) * {high}
                                        - a * (1 - {scale} * {high});
        exp_minus_steps - a * {scale} -> (exp_minus_steps - (exp_minus_rounded - {middle}))
                                         + (exp_minus_rounded - (a * {scale} + {middle}));
        exp_minus_r - exact -> (exp_minus_r - Mexp_minus_r)
                               - exp_minus_steps * (ln2 - ({high} + {low}));"""
    proofs.gappa("exp of the density: argument", arithmetic,
                 f"a in [0.0107, 45] /\\ |ln2 - ({high} + {low})| <= {links['ln2']}",
                 [("exp_minus_r - exact", units(links["reduction"], 64)),
                  ("exp_minus_r", DENSITY_REDUCED_MAX)], hints)

    arithmetic = Gappa(64, False)
    r, power = arithmetic.variable("r"), arithmetic.variable("power")
    power.exact = "Mpower"
    result = arithmetic.named("result", density_evaluation(
        source, arithmetic, arithmetic.constant(0), power, r))
    proofs.gappa("exp of the density: rounding, with that of the table", arithmetic,
                 f"|r| <= {DENSITY_REDUCED_MAX} /\\ Mpower in [0.5, 1]"
                 f" /\\ |power - Mpower| <= 1b-54",
                 [(f"({result.text} - {result.exact}) / {result.exact}",
                   units(links["exp"], 64))], "$ Mpower in 8;")

    arithmetic = Gappa(64, False)
    e = arithmetic.variable("e")
    sigmoid = arithmetic.named("sigmoid", arithmetic.v_div(
        e, arithmetic.v_add(arithmetic.constant(1), e)))
    proofs.gappa("sigmoid of the density: rounding", arithmetic, "e in [0, 1]",
                 [("sigmoid - Msigmoid", units(links["sigmoid"], 64))], "$ e in 8;")

    # The sigmoid's slope is a quarter at most, and a whole number of 2^-62 is the nearest.  A window
    # has two norms, which may be off by half of 2^-51.
    exp = chain(64, links["reduction"], links["exp"], links["polynomial"])
    proofs.promise("norms of the density", exp / 4 + fractions.Fraction(links["sigmoid"])
                   + fractions.Fraction(1, 2 ** 10), "2")

    formula = Formula(53)
    x = formula.variable("x")
    polynomial = density_evaluation(source, formula, x, formula.constant(1), x).exact
    proofs.sollya("exp of the density: polynomial", [supnorm(
        f"horner({polynomial})", "exp(x)", f"[-{DENSITY_REDUCED_MAX}; {DENSITY_REDUCED_MAX}]",
        "relative", units(links["polynomial"], 64))])
    powers = source.array("powers")
    count = int(evaluation.constant_of("POWERS").number)
    if len(powers) != count:
        raise Failure(f"{len(powers)} powers, not {count}")
    proofs.sollya("exp of the density: table, to nearest", [
        f"print(round(2^(-{k} / {count}), 53, RN) == {dyadic(power)});"
        for k, power in enumerate(powers)])
    proofs.sollya("exp of the density: logarithm of 2", [
        f"print(abs(log(2) / {count} - ({high} + {low})) <= {links['ln2']});"])


# Polynomials and constants ----------------------------------------------------------------------

def prove_approximations(proofs, source, bits, links):
    name = "float" if bits == 32 else "double"
    formula = Formula(DIGITS[bits])
    evaluation = Evaluation(source, formula)
    x = formula.variable("x")
    one = formula.constant(1)

    exp = exponential_formula(source, bits, "x")
    proofs.sollya(f"exp: polynomial, {name}", [supnorm(
        f"horner(1 + {exp})", "exp(-x)", f"[-{REDUCED_MAX}; {REDUCED_MAX}]", "relative",
        units(links["exp"], bits))])

    # (log1p(x) - x) / x^2 is 0 / 0 at 0, and its series is less wrong than 2^-78.
    tail = of_square(source, bits, "log_tail", "x")
    series = " + ".join(f"({(-1) ** (k + 1)}) / {k + 2} * x^{k}" for k in range(20))
    proofs.sollya(f"log1p: polynomial, {name}", [
        f"rest = horner({tail});", f"series = horner({series});",
        f"print({LOG_MAX}^20 / (22 * (1 - {LOG_MAX})) <= 2^(-78));",
        f"print(sup(supnorm(rest, series, [{LOG_LEAST}; {LOG_MAX}], absolute, 2^(-5))) + 2^(-78)"
        f" <= {units(links['log'], bits)});"])
    start = of_square(source, bits, "reciprocal_start", "x", 1)
    proofs.sollya(f"reciprocal: polynomial, {name}", [supnorm(
        f"horner({start})", "1 / (1 + x)", f"[{LOG_LEAST}; {LOG_MAX}]", "relative",
        f"{links['start']} * 2^(-24)")])
    # It is least where d is most; d, and what is made from it, are rounded by far less than 2^-31.
    proofs.sollya(f"reciprocal: start is above 1/2, {name}", [
        f"start = horner({start});",
        f"print(sup(evaluate(diff(start), [{LOG_LEAST}; {LOG_MAX}])) < 0);"] + [
            f"print({dyadic(factor)} * start({dyadic(factor * (1 + most) - 1)}) > 1/2 + 2^(-30));"
            for _, factor, _, _, most in log_entries(source, bits)])

    constants = {macro: evaluation.constant_of(macro).text for macro in (
        "LN2_HIGH", "LN2_LOW", "STEP", "STEP_HIGH", "STEP_LOW")}
    proofs.sollya(f"logarithm of 2, {name}", [
        f"print(abs(log(2) - ({constants['LN2_HIGH']} + {constants['LN2_LOW']})) <= {links['ln2']});",
        f"print(abs(log(2) / 8 - ({constants['STEP_HIGH']} + {constants['STEP_LOW']}))"
        f" <= {links['step']});",
        f"print(abs(8 * {constants['STEP']} / log(2) - 1) <= 1b-{DIGITS[bits] + 1});"])


def bits_of(number, bits):
    """Those of a number that is not negative, as a whole number."""
    formats = FORMATS[bits]
    return struct.unpack(formats[1], struct.pack(formats[0], float(number)))[0]


def as_stepped(number, steps, bits):
    """A normal number with so many units of the third bit of its fraction more."""
    whole = (bits_of(number, bits) + (steps << (DIGITS[bits] - 4))) % 2 ** bits
    formats = FORMATS[bits]
    return fractions.Fraction(struct.unpack(formats[0], struct.pack(formats[1], whole))[0])


def prove_tables(proofs, source, bits, log_error):
    """Those of exponential_of and log_entry_of."""
    name = "float" if bits == 32 else "double"
    digits = DIGITS[bits]
    evaluation = Evaluation(source, Formula(digits))
    lift, bias, drop, real_lift, least, most, zero, steps, middle = (
        evaluation.constant_of(macro).number for macro in (
            "EXP_LIFT_EXPONENT", "REAL_EXPONENT_BIAS", "EXP_DROP", "REAL_LIFT",
            "REAL_LEAST_EXPONENT", "EXP_MOST", "EXP_ZERO", "STEPS_E", "REAL_ROUND"))
    powers, lows = source.array("exp_powers"), source.array("exp_lows")

    # v_step makes 2^m T of entry j for n = 8 m + j, as long as that is normal: bits of REAL_ROUND
    # fall off, and its last ones, to which n adds the index, are 0.
    lines = [f"print(2^{lift} <= {t} && {t} < 2^({lift} + 1)"
             f" && abs({low}) <= 2^(-{digits})"
             f" && abs({t} * (1 + {low}) / 2^({lift} + {j} / 8) - 1) <= 2^({3 - 2 * digits}));"
             for j, (t, low) in enumerate(
                 (dyadic(as_stepped(power, j, bits)), dyadic(low))
                 for j, (power, low) in enumerate(zip(powers, lows, strict=True)))]
    proofs.sollya(f"exp: table of {len(powers)}, {name}", lines + [
        f"print({len(powers)} == 8);",
        f"print({dyadic(as_stepped(1, bits_of(middle, bits), bits))} == 1);"])

    # T is 0 for EXP_MOST: bits of m = -(bias + lift).  Where it is subnormal, the exponential is 0.
    normal = -8 * (bias + lift - 1)
    proofs.sollya(f"exp: range, {name}", [
        f"print({dyadic(powers[0])} == 2^{lift});",
        f"print(abs({dyadic(most)} * {dyadic(steps)} - 8 * ({bias} + {lift})) < 1/4);",
        f"print({dyadic(zero)} * {dyadic(steps)} + 1 < {-normal});",
        f"print({dyadic(drop)} == 2^(-{lift}));",
        f"print(2^(1 - {bias}) * {dyadic(drop * real_lift)} < 2^({least} - 1));",
        f"print(exp(-{dyadic(zero)}) * (1 + 2^(-20)) < 2^({least} - 1));"])

    lines = []
    for _, factor, value, least_e, _ in log_entries(source, bits):
        unit = fractions.Fraction(1)
        while value and unit > value:
            unit /= 2
        lines.append(f"print(1/2 <= {dyadic(factor)} && {dyadic(factor)} <= 1"
                     f" && abs(log({dyadic(factor)}) + {dyadic(value)})"
                     f" <= {log_error} * {dyadic(unit)} * 2^(1 - {digits})"
                     f" && {dyadic(value)} <= 2 * log1p({dyadic(least_e)}));")
    if source.macros["log_lookup"] != f"v_lookup{len(lines)}":
        raise Failure(f"log_lookup is not of {len(lines)} entries")
    proofs.sollya(f"log1p: table of {len(lines)}, {name}", lines)


# The bounds --------------------------------------------------------------------------------------

APPROXIMATIONS = {
    64: dict(ln2="1b-86", step="1b-96", exp="0.0945", log="2.73", start="0.072"),
}
LOG_TABLES = {32: "6.6e-5", 64: "5.2e-3"}  # in units of the last place of an entry
LINKS = {
    (64, True): dict(
        ln2="1b-86", step="1b-96", reduction="0.0313", exp="0.118", exp_sum="0",
        reduction_of_softmax="0.0313",
        log="2.4", start="1.2", reciprocal="1.17",
        log_sum="0.0119", log_pair="0.004", minus_log="0.0079"),
    (64, False): dict(
        ln2="1b-86", step="1b-96", reduction="0.0313", exp="0.149", exp_sum="0.048",
        reduction_of_softmax="0.0313",
        log="2.91", start="1.4", reciprocal="1.67",
        log_sum="0.0139", log_pair="0.004", minus_log="0.0079"),
}
PROMISED = {
    True: {"exp_minus before it is rounded": "0.25", "exp_minus_pair": "1.3",
           "logarithm of softplus_of": "2.7", "reciprocal of softplus_of": "1.2",
           "log1p_sum": "0.032", "log1p_pair": "0.036", "minus_log_pair": "0.04",
           "lifted_exps": "1.9", "element_loss, gamma 0": "8", "gradient, gamma 0": "8"},
    False: {"exp_minus before it is rounded": "0.33", "exp_minus_pair": "1.4",
            "logarithm of softplus_of": "3.2", "reciprocal of softplus_of": "1.7",
            "log1p_sum": "0.034", "log1p_pair": "0.038", "minus_log_pair": "0.042",
            "lifted_exps": "2", "element_loss, gamma 0": "8", "gradient, gamma 0": "8"},
}
DENSITY_LINKS = dict(ln2="1b-91", reduction="0.01", exp="2.1", sigmoid="0.77", polynomial="0.1")


def chain(bits, *factors):
    """Of relative errors, one after the other."""
    unit = fractions.Fraction(1, 2 ** DIGITS[bits])
    product = fractions.Fraction(1)
    for factor in factors:
        product *= 1 + fractions.Fraction(factor) * unit
    return (product - 1) / unit


def add_promises(proofs, source, bits, fused, links, promised):
    """What the links make together, and what comments and the manual say."""
    name = row(bits, fused)
    approximations = APPROXIMATIONS[bits]
    number = fractions.Fraction
    exp = chain(bits, links["reduction"], links["exp"], links["exp_sum"], approximations["exp"])
    exp_pair = chain(bits, exp, links["reduction"], 1)
    # The polynomial's error is relative to d^2, and most of log1p(e) where entry 1 begins.  Entries
    # are at most twice log1p(e), and a unit of their last place at most two of ours of them.
    polynomial = number(LOG_MAX) ** 2 * number(approximations["log"])
    least = [entry[3] for entry in log_entries(source, bits)][1]
    table = number(LOG_TABLES[bits])
    log = chain(bits, links["log"], polynomial / (least - least ** 2 / 2), 4 * table)
    # Last are (D - d) d^2 / (1 + d), sums, and the square of D - d.
    rest = number(LOG_REST_MAX) * number(LOG_MAX) ** 2 + number(1, 10 ** 5)
    log_sum = number(links["log_sum"]) + polynomial + table + rest
    entries = max(abs(low) for low in source.array("exp_lows")) * 2 ** DIGITS[bits]
    softmax = chain(bits, links["reduction_of_softmax"], links["exp"], approximations["exp"],
                    entries, links["exp_sum"], 1)
    reciprocal = number(links["reciprocal"])
    for text, bound in (
            ("exp_minus before it is rounded", exp), ("exp_minus_pair", exp_pair),
            ("logarithm of softplus_of", log), ("reciprocal of softplus_of", reciprocal),
            ("log1p_sum", log_sum), ("log1p_pair", log_sum + number(links["log_pair"])),
            ("minus_log_pair", log_sum + number(links["minus_log"])), ("lifted_exps", softmax),
            # log1p(e) and e / (1 + e) are no more sensitive than e; then a sum is rounded, or, of
            # e - e (e y), the product in brackets, the other one without fused multiply-add, and the
            # difference: e (e y) is at most as large as that, and so are its errors.
            ("element_loss, gamma 0", chain(bits, exp, 1, log, 1)),
            ("gradient, gamma 0", chain(bits, exp, 1, reciprocal, 1, 1, 0 if fused else 1))):
        proofs.promise(f"{text}, {name}", bound, promised[text])


def main():
    proofs = Proofs()
    for (bits, fused), links in LINKS.items():
        source = Source(KERNELS, bits)
        check_text(source, [*AS_READ, *(name for name in STATEMENTS if name != "sigmoid_of")])
        prove_exponential(proofs, source, bits, fused, links)
        prove_exponential_of_softmax(proofs, source, bits, fused, links)
        prove_softplus(proofs, source, bits, fused, links)
        prove_exact_softplus(proofs, source, bits, fused, links)
        prove_reciprocal(proofs, source, bits, fused, links)
        prove_minus_log_pair(proofs, source, bits, fused, links)
        add_promises(proofs, source, bits, fused, links, PROMISED[fused])
    for bits in sorted({bits for bits, _ in LINKS}):
        prove_approximations(proofs, Source(KERNELS, bits), bits, APPROXIMATIONS[bits])
    for bits, log_error in LOG_TABLES.items():
        prove_tables(proofs, Source(KERNELS, bits), bits, log_error)
    prove_density(proofs, DENSITY_LINKS)
    return 0 if proofs.run() else 1


if __name__ == "__main__":
    missing = [program for program in ("gappa", "sollya") if shutil.which(program) is None]
    if missing:
        print("Without", " and ".join(missing), "nothing is proved.")
        sys.exit(77)
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"[ RUN      ] sources\n{failure}\n[  FAILED  ] sources")
