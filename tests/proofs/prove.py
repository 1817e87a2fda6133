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
2^-53.  (Every float is tried by `exhaustive`.)  --show prints what Gappa finds in place of what is to be proved."""

import concurrent.futures
import fractions
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True  # beside the sources

from arithmetic import Formula, Gappa, Value, dyadic
from kernel_source import Evaluation, Failure, Source, Struct, tokens_of

SRC = pathlib.Path(__file__).resolve().parents[2] / "src"
KERNELS = [SRC / name for name in ("vec/real.h", "kernels/samples.h", "kernels/math_kernel.h",
                                   "kernels/softmax_kernel.h",
                                   "kernels/focal_kernel.h")]
DENSITY = [SRC / "ghm_density.c"]
DIGITS = {32: 24, 64: 53}
DENSITY_REDUCED_MAX = "0.01084"
TIMEOUT_SECONDS = 60  # each takes at most 2, where it holds
SHOW = "--show" in sys.argv

# The remainder of an exponential over its power of two: exp(-s) - 1, with |s| at most that.
REDUCED_MAX = "0.347"
REMAINDER_LEAST, REMAINDER_MOST = "-0.2932", "0.4149"

# What is put together by hand.  exact_sum is Knuth's sum, exponential_pair Dekker's: without error.
AS_READ = {
    "exact_sum": """vreal high = v_add(a, b); vreal b_part = v_sub(high, a);
        vreal a_part = v_sub(high, b_part);
        return (struct pair){high, v_add(v_sub(a, a_part), v_sub(b, b_part))};""",
    "exponential_pair": """vreal high = v_add(x.power, x.remainder);
        return (struct pair){high, v_sub(x.remainder, v_sub(high, x.power))};""",
    "exp_minus": """vreal bounded = v_min(v_set(EXP_ZERO), a);
        vreal rounded = exp_rounded(bounded);
        return scaled_exp(exp_reduced(bounded, rounded), rounded);""",
    "lifted_exp_minus": """vreal bounded = v_min(v_set(EXP_ZERO_LIFTED), a);
        vreal rounded = exp_rounded(bounded);
        return scaled_exp(exp_reduced(bounded, rounded),
                          v_add(rounded, v_set(REAL_LIFT_EXPONENT)));""",
    "exp_minus_pair": """vreal bounded = v_min(v_set(EXP_ZERO), a.high);
        vreal low = v_keep(v_le(a.high, v_set(EXP_ZERO)), a.low);
        vreal rounded = exp_rounded(bounded);
        return scaled_exp(v_add(exp_reduced(bounded, rounded), low), rounded);""",
    "log1p_tail_of": """vreal e = v_add(x.power, x.remainder); vreal e2 = v_mul(e, e);
        return v_muladd(e2, log1p_tail(e, e2, (real)-0.5), x.remainder);""",
}

# What is read no further than that it is there.
STATEMENTS = {
    "logistic_of": ("of.y = y;", "of.power = v_select(of.easy, x.power, v_set(1));",
                    "of.remainder = v_keep(of.easy, x.remainder);",
                    "of.q = v_muladd(of.remainder, of.y, v_mul(of.power, of.y));"),
    # Of kinds without a margin.
    "hard_values": ("vreal y = kind.margin ? v_load(margin->y + i) : reciprocal_1p(x);",
                    "struct logistic of = logistic_of(minus_z, x, y);", "vreal q = of.q, p = of.p;",
                    "struct exponential argument = x; if (kind.margin) {",
                    "vreal tail = log1p_tail_of(argument);",
                    "vreal log = v_add(argument.power, tail);",
                    "vreal loss = v_add(log, v_max(minus_z, v_set(0)));",
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
        """bounds: expressions and what their magnitudes are at most, as Gappa reads it."""
        goal = " /\\ ".join(f"{expression} in ?" if SHOW else f"|{expression}| <= {bound}"
                            for expression, bound in bounds)
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

def prove_exponential(proofs, source, bits, fused, links):
    """exp(-a) = exp(-s) 2^n for s = a + n ln 2."""
    name = row(bits, fused)
    values = Evaluation(source, Formula(DIGITS[bits]))
    most = max(values.constant_of(macro).number for macro in ("EXP_ZERO", "EXP_ZERO_LIFTED",
                                                          "POWER_ZERO"))
    high, low, log2_e, middle = (values.constant_of(macro).text for macro in (
        "LN2_HIGH", "LN2_LOW", "LOG2_E", "REAL_ROUND"))

    arithmetic = Gappa(bits, fused, ("rounded", "exp_reduced_n"))
    evaluation = Evaluation(source, arithmetic)
    a = arithmetic.variable("a")
    rounded = arithmetic.named("rounded", evaluation.call("exp_rounded", a))
    s = arithmetic.named("s", evaluation.call("exp_reduced", a, rounded))
    proofs.gappa(f"exp: argument near 0 is not reduced, {name}", arithmetic, "a in [0, 0.34]",
                 [("exp_reduced_n", "0")])
    arithmetic.lines.append("exact = exp_reduced_n * ln2 + a;")
    ln2 = f"|ln2 - ({high} + {low})| <= {links['ln2']}"
    hints = f"""
        exp_reduced_n * {high} + a -> (exp_reduced_n + a * {log2_e}) * {high}
                                      + a * (1 - {log2_e} * {high});
        exp_reduced_n + a * {log2_e} -> (exp_reduced_n - (rounded - {middle}))
                                        + (rounded - ({middle} - a * {log2_e}));
        s - exact -> (s - Ms) - exp_reduced_n * (ln2 - ({high} + {low}));"""
    proofs.gappa(f"exp: argument, {name}", arithmetic,
                 f"a in [0.34, {dyadic(most)}] /\\ {ln2}",
                 [("s - exact", units(links["reduction"], bits)), ("s", "0.3466")], hints)

    arithmetic = Gappa(bits, fused)
    s, low_part = arithmetic.variable("s"), arithmetic.variable("low")
    arithmetic.named("sum", arithmetic.v_add(s, low_part))
    proofs.gappa(f"exp: second part of an argument, {name}", arithmetic,
                 f"|s| <= 0.3466 /\\ |low| <= {2 if bits == 32 else 1}b-16",
                 [("sum - Msum", units(links["second_part"], bits)), ("sum", REDUCED_MAX)])

    arithmetic = Gappa(bits, fused)
    s = arithmetic.variable("s")
    Evaluation(source, arithmetic).call("scaled_exp", s, arithmetic.constant(0))
    proofs.gappa(f"exp: rounding, {name}", arithmetic, f"|s| <= {REDUCED_MAX}",
                 [("(scaled_exp_w - Mscaled_exp_w) / (1 + Mscaled_exp_w)",
                   units(links["exp"], bits))], "$ s in 16;")


def prove_exponential_of_softmax(proofs, source, bits, fused, links):
    """One factor less, and ln 2 in one part: of the argument, half a unit in its last place."""
    name = row(bits, fused)
    arithmetic = Gappa(bits, fused)
    arithmetic.v_max = lambda a, b: b
    one, zero = arithmetic.constant(1), arithmetic.constant(0)
    r = arithmetic.variable("r")
    result = [one]
    evaluation = Evaluation(source, arithmetic, {
        "lifted_exps.r": ("v_nmuladd(v_sub(power[k], round), v_set(LN2), x[k])", r)})
    evaluation.call("lifted_exps", one, result, zero)
    evaluation.finish()
    result = arithmetic.named("result", result[0])
    proofs.gappa(f"exp of softmax: rounding, {name}", arithmetic, f"|r| <= {REDUCED_MAX}",
                 [(f"({result.text} - {result.exact}) / {result.exact}",
                   units(links["softmax"], bits))], "$ r in 16;")

    # ln 2 in one part takes a product that is exact only if it is fused.
    if fused:
        arithmetic = Gappa(bits, fused, ("lifted_exps_power",))
        x = arithmetic.variable("x")
        arithmetic.v_max = lambda *_: x
        arithmetic.v_power = lambda _: one
        evaluation = Evaluation(source, arithmetic)
        evaluation.call("lifted_exps", one, [one], zero)
        middle = evaluation.constant_of("REAL_ROUND + (REAL_EXPONENT_BIAS + LIFT_EXPONENT)").text
        log2_e, ln2 = (evaluation.constant_of(macro).text for macro in ("LOG2_E", "LN2"))
        n = "M" + arithmetic.find(f"rnd(lifted_exps_power - {middle})")
        hints = f"""
            Mlifted_exps_r -> (x * {log2_e} - {n}) * {ln2} + x * (1 - {log2_e} * {ln2});
            x * {log2_e} - {n} -> -(lifted_exps_power - (x * {log2_e} + {middle}));"""
        least = evaluation.constant_of("LIFTED_ZERO").text
        proofs.gappa(f"exp of softmax: argument, {name}", arithmetic, f"x in [{least}, 0]".replace(
            "(", "").replace(")", ""), [
                ("lifted_exps_r - Mlifted_exps_r", units(links["reduction"], bits)),
                ("lifted_exps_r", REDUCED_MAX)], hints)


# Logarithms --------------------------------------------------------------------------------------

# What is T + R, by T: from where to where, the largest T, and what 1 - 1 / (1 + xi) is at most for xi
# between the rounded sum and the exact one.
TAILS = (("0.9", "1", "1", "0.5001"), ("0.8", "0.9", "1", "0.4738"), ("0.7068", "0.8", "1", "0.4445"),
         ("0.3534", "0.7075", "0.5", "0.4144"), ("0.1767", "0.3538", "0.25", "0.2614"),
         ("0", "0.1769", "0.125", "0.1504"))


# What the first part of a pair is.
PAIR_TAILS = (("0.9", "1"), ("0.75", "0.9"), ("0.5", "0.75"), ("0", "0.5"))


def prove_logarithm(proofs, source, bits, fused, links):
    name = row(bits, fused)
    for (least, most, power, slope), tail, log in zip(TAILS, links["tails"], links["logs"]):
        arithmetic = Gappa(bits, fused)
        e = arithmetic.variable("e")
        e2 = arithmetic.named("e2", arithmetic.v_mul(e, e))
        arithmetic.named("tail", Evaluation(source, arithmetic).call(
            "log1p_tail", e, e2, arithmetic.constant(fractions.Fraction(-1, 2))))
        proofs.gappa(f"log1p: polynomial on [{least}, {most}], {name}", arithmetic,
                     f"e in [{least}, {most}]", [("tail - Mtail", units(tail, bits))], "$ e in 3;")

        # log1p_tail_of over T, a power of two.
        arithmetic = Gappa(bits, fused)
        w = arithmetic.variable("w")
        p = Value("p", "Mp")
        t = Value("t", "t")
        e = arithmetic.named("e", arithmetic.v_add(arithmetic.constant(1), w))
        e.exact = e.text
        e2 = arithmetic.named("e2", arithmetic.v_mul(e, e))
        arithmetic.lines += ["p = rnd(p_);"]
        if fused:
            arithmetic.lines += ["r = rnd(t * e2 * p + w);"]
        else:
            arithmetic.lines += ["r = rnd(rnd(t * e2 * p) + w);"]
        arithmetic.lines += ["Mr = t * Me2 * Mp + w;"]
        from_, to = (f"{float(x) - 1:.4f}" for x in (least, most)) if power == "1" else \
            (REMAINDER_LEAST, REMAINDER_MOST)
        least_power = "0" if power == "0.125" else power
        g_least, g_most = tail_range(least, most)
        proofs.gappa(
            f"log1p: rounding with T up to {power}, {name}", arithmetic,
            f"w in [{from_}, {to}] /\\ t in [{least_power}, {power}] /\\ slope in [0, {slope}]"
            f" /\\ Mp in [{g_least}, {g_most}] /\\ |p - Mp| <= {units(tail, bits)}",
            [("((r - Mr) + (1 + w - e) * slope) / (e + t * Me2 * Mp)", units(log, bits))],
            "$ w in 6;")


def tail_range(least, most):
    """Of (log1p(x) - x) / x^2, which rises, with a little room."""
    def at(x):
        return -0.5 if x == 0 else (math.log1p(x) - x) / x ** 2
    return f"{at(float(least)) - 1e-6:.7f}", f"{at(float(most)) + 1e-6:.7f}"


def prove_pair_of_logarithm(proofs, source, bits, fused, links):
    name = row(bits, fused)
    half = f"1b-{DIGITS[bits] + 1}"
    for (least, most), tail in zip(PAIR_TAILS, links["pair_tails"]):
        arithmetic = Gappa(bits, fused)
        e = arithmetic.variable("e")
        e2 = arithmetic.named("e2", arithmetic.v_mul(e, e))
        arithmetic.named("tail", Evaluation(source, arithmetic).call(
            "log1p_tail", e, e2, arithmetic.constant(0)))
        proofs.gappa(f"log1p of pairs: polynomial on [{least}, {most}], {name}", arithmetic,
                     f"e in [{least}, {most}]", [("tail - Mtail", units(tail, bits))], "$ e in 3;")
        g_least, g_most = tail_range(least, most)
        for low, link in (("0", "log_of_one"), (half, "log_of_pair")):
            pre = "log1p_pair_"
            arithmetic = Gappa(bits, fused, tuple(
                pre + x for x in ("square", "square_low", "first_high", "first_low", "log_high",
                                  "log_low", "low")))
            arithmetic.log1p_tail = lambda *_: Value("p", "Mp")
            h, l = arithmetic.variable("h"), arithmetic.variable("l")
            result = arithmetic.named("result", Evaluation(source, arithmetic).call(
                "log1p_pair", Struct(high=h, low=l)))
            arithmetic.lines += [
                "want = h - h * h * 0.5 + h * h * Mp + l / (1 + h);",
                f"got = {result['high'].text} + {result['low'].text};"]
            hints = """
                got - want -> (result_low - Mresult_low) + (low - Mlow)
                    - (square_low - Msquare_low) * 0.5 + (tail - Mtail)
                    - (h * h - square) * Mp - l * (h * h / (1 + h)) { 1 + h <> 0 };"""
            hints = re.sub(r"\b(M?)(low|square_low|tail|square)\b", rf"\1{pre}\2", hints)
            proofs.gappa(f"log1p of pairs: rounding on [{least}, {most}], second part up to {low},"
                         f" {name}", arithmetic,
                         f"h in [{least}, {most}] /\\ |l| <= {low}"
                         f" /\\ Mp in [{float(g_least) + 0.5:.7f}, {float(g_most) + 0.5:.7f}]"
                         f" /\\ |p - Mp| <= {units(tail, bits)}",
                         [("got - want", units(links[link], bits))], hints + "$ h in 4;")


def prove_minus_log_pair(proofs, source, bits, fused, links):
    """-log(m) = k ln 2 - log1p(r) - m.low / m.high: what comes to the logarithm of 1 + r."""
    name, digits = row(bits, fused), DIGITS[bits]
    sums = ("pair_sum_sum_high", "pair_sum_sum_low", "pair_sum_all_high", "pair_sum_all_low")
    powers = ("minus_log_pair_power_high", "minus_log_pair_power_low")
    arithmetic = Gappa(bits, fused, sums + powers)
    m_high, m_low, fraction, log_high, log_low = (arithmetic.variable(x) for x in (
        "m_high", "m_low", "fraction", "log_high", "log_low"))
    arithmetic.lines.append("k = fixed<0, ne>(k_);")
    arithmetic.log1p_pair = lambda _: Struct(high=log_high, low=log_low)
    evaluation = Evaluation(source, arithmetic, {
        "minus_log_pair.subnormal": ("m_not(v_gt(m.high, v_set(REAL_MIN)))", m_high),
        "minus_log_pair.lifted": (
            "v_mul(m.high, v_select(subnormal, v_set(REAL_LIFT), v_set(1)))", m_high),
        "minus_log_pair.fraction": ("v_fraction(lifted, &exponent)", fraction),
        "minus_log_pair.k": (
            "v_sub(v_keep(subnormal, v_set(REAL_LIFT_EXPONENT)), exponent)", Value("k", "k"))})
    result = evaluation.call("minus_log_pair", Struct(high=m_high, low=m_low))
    evaluation.finish()
    second = arithmetic.named("second", result["low"])
    added = arithmetic.find("rnd(pair_sum_sum_low + "
                            + arithmetic.find("rnd(minus_log_pair_power_low + (-log_low))") + ")")
    high, low = (evaluation.constant_of(macro).text for macro in ("LN2_HIGH", "LN2_LOW"))
    second = arithmetic.find(f"rnd(pair_sum_all_low - {arithmetic.find('rnd(m_low / m_high)')})")
    arithmetic.lines += [f"got = {result['high'].text} + {second};",
                         "want = k * ln2 - log_high - log_low - m_low / m_high;"]
    hints = f"""
        got - want -> ({second} - M{second}) + ({added} - M{added})
                      + ({powers[0]} - M{powers[0]}) + ({powers[1]} - M{powers[1]})
                      - k * (ln2 - ({high} + {low})) {{ m_high <> 0 }};"""
    proofs.gappa(f"logarithms of pairs: rounding, {name}", arithmetic,
                 f"|k| <= 1138 /\\ fraction in [1, 2] /\\ log_high in [0, 0.6932]"
                 f" /\\ |log_low| <= 1b-{digits} /\\ |m_low / m_high| <= 1b-{digits}"
                 f" /\\ m_high in [1b-100, 1b100]"
                 f" /\\ |ln2 - ({high} + {low})| <= {links['ln2']}",
                 [("got - want", units(links["minus_log"], bits)),
                  ("minus_log_pair_r_high - Mminus_log_pair_r_high", "0")], hints)


# Reciprocals -------------------------------------------------------------------------------------

def prove_reciprocal(proofs, source, bits, fused, links):
    """Of 1 + T + R; where T is too small to be added to 1, it is lost."""
    name, digits = row(bits, fused), DIGITS[bits]
    pre = "reciprocal_1p_"
    for lost in (False, True):
        arithmetic = Gappa(bits, fused, tuple(pre + x for x in ("d", "d_below", "y", "excess")))
        r = arithmetic.variable("r")
        first = arithmetic.constant(1) if lost else arithmetic.variable("first")
        evaluation = Evaluation(source, arithmetic, {
            "reciprocal_1p.one_power": ("v_add(one, x.power)", first)})
        arithmetic.named("result", evaluation.call(
            "reciprocal_1p", Struct(power=arithmetic.constant(0), remainder=r)))
        evaluation.finish()
        above = arithmetic.find(f"rnd({first.text} - {pre}d)")
        arithmetic.lines += [f"D = {first.text} + {'T + r' if lost else 'r + 0'};",
                             f"x = D * {pre}y - 1;"]
        gone = "T" if lost else "0"
        unit = f"1b-{digits}"
        ranges = (f"T in [0, {unit}] /\\ r / {unit} in [{REMAINDER_LEAST}, {REMAINDER_MOST}]"
                  if lost else f"first in [1, 2] /\\ D in [1, 2]"
                  f" /\\ r in [{REMAINDER_LEAST}, {REMAINDER_MOST}]")
        hints = f"""
            D * result - 1 -> (result - Mresult) / Mresult * (D * Mresult)
                              - (D * y) * (excess - x) - x * x {{ Mresult <> 0 }};
            D * Mresult -> 1 - (D * y) * (excess - x) - x * x;
            x -> D * (y - 1 / d) + (D - d) / d {{ d <> 0 }};
            D - d -> {gone} + ({first.text} + r - d);
            D * y -> 1 + x;
            excess - x -> (excess - Mexcess) + y * (d_below - (D - d));
            d_below - (D - d) -> (d_below - ({above} + r)) + ({above} - ({first.text} - d)) - {gone};
            {above} + r -> ({above} - ({first.text} - d)) - (d - ({first.text} + r));"""
        hints = re.sub(r"\b(M?)(d|d_below|y|excess)\b", rf"\1{pre}\2", hints)
        proofs.gappa(f"reciprocal{' where T is lost' if lost else ''}, {name}", arithmetic, ranges,
                     [("D * result - 1", units(links["lost" if lost else "reciprocal"], bits))],
                     hints)


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

    exp = evaluation.call("scaled_exp", x, one)["remainder"].exact
    reduced = f"[-{REDUCED_MAX}; {REDUCED_MAX}]"
    proofs.sollya(f"exp: polynomial, {name}", [supnorm(
        f"horner(1 + {exp})", "exp(-x)", reduced, "relative", units(links["exp"], bits))])

    result = [one]
    formula.v_max = lambda a, b: b
    of_softmax = Evaluation(source, formula, {
        "lifted_exps.r": ("v_nmuladd(v_sub(power[k], round), v_set(LN2), x[k])", x)})
    of_softmax.call("lifted_exps", one, result, formula.constant(0))
    of_softmax.finish()
    proofs.sollya(f"exp of softmax: polynomial, {name}", [supnorm(
        f"horner({result[0].exact})", "exp(x)", reduced, "relative",
        units(links["softmax"], bits))])

    tail = evaluation.call("log1p_tail", x, formula.v_mul(x, x),
                           formula.constant(fractions.Fraction(-1, 2))).exact
    series = " + ".join(f"({(-1) ** (k + 1)}) / {k + 2} * x^{k}" for k in range(21))
    bound = units(links["log"], bits)
    proofs.sollya(f"log1p: polynomial, {name}", [
        f"rest = horner({tail});", f"series = horner({series});",
        supnorm("x + x^2 * rest", "log1p(x)", "[1/16; 1]", "relative", bound),
        supnorm("x + x^2 * rest", "log1p(x)", "[1/16; 1]", "absolute",
                units(links["log_absolute"], bits)),
        # (log1p(x) - x) / x^2 is 0 / 0 at 0; from its series, which alternates, it is less than the
        # first term left out.  There x^2 / log1p(x) < 1/15.
        f"print(sup(supnorm(rest, series, [0; 1/16], absolute, 2^(-5))) + 2^(-84) <= 15 * {bound});",
        f"print(sup(supnorm(rest, series, [0; 1/16], absolute, 2^(-5))) + 2^(-84)"
        f" <= 256 * {units(links['log_absolute'], bits)});"])

    high, low, whole = (evaluation.constant_of(macro).text for macro in (
        "LN2_HIGH", "LN2_LOW", "LN2"))
    proofs.sollya(f"logarithm of 2, {name}", [
        f"print(abs(log(2) - ({high} + {low})) <= {links['ln2']});",
        f"print(abs({whole} / log(2) - 1) <= 1b-{DIGITS[bits] + 1});"])


# The bounds --------------------------------------------------------------------------------------

APPROXIMATIONS = {
    64: dict(ln2="1b-86", exp="0.003", softmax="0.12", log="0.1", log_absolute="0.07"),
}
LINKS = {
    (64, True): dict(
        ln2="1b-86", reduction="0.2501", second_part="0.2501", exp="0.533", softmax="1.052",
        tails=("1.2", "1.14", "1.06", "1.1", "0.81", "1.27"),
        logs=("3.1", "2.8", "2.6", "2.3", "1.1", "0.75"),
        pair_tails=("1.3", "1.1", "1", "0.6"), log_of_one="1.6", log_of_pair="1.9",
        minus_log="0.001",
        reciprocal="1.001", lost="1.415"),
    (64, False): dict(
        ln2="1b-86", reduction="0.2501", second_part="0.2501", exp="0.584", softmax="1.44",
        tails=("1.93", "1.58", "1.45", "1.39", "0.9", "1.27"),
        logs=("4.7", "4", "3.6", "3.1", "1.3", "0.9"),
        pair_tails=("1.9", "1.5", "1.4", "0.7"), log_of_one="2.3", log_of_pair="2.6",
        minus_log="0.001",
        reciprocal="1.001", lost="1.415"),
}
PROMISED = {
    True: {"exp_minus": "0.8", "exp_minus_pair": "1.1", "log1p_tail_of": "3.3",
           "reciprocal_1p": "1.42", "log1p_pair": "2", "minus_log_pair": "1.7",
           "lifted_exps": "1.5", "element_loss, gamma 0": "8", "gradient, gamma 0": "8"},
    False: {"exp_minus": "0.9", "exp_minus_pair": "1.2", "log1p_tail_of": "4.9",
            "reciprocal_1p": "1.42", "log1p_pair": "2.7", "minus_log_pair": "2.4",
            "lifted_exps": "1.9", "element_loss, gamma 0": "8", "gradient, gamma 0": "8"},
}
DENSITY_LINKS = dict(ln2="1b-91", reduction="0.01", exp="2.1", sigmoid="0.77", polynomial="0.1")


def chain(bits, *factors):
    """Of relative errors, one after the other."""
    unit = fractions.Fraction(1, 2 ** DIGITS[bits])
    product = fractions.Fraction(1)
    for factor in factors:
        product *= 1 + fractions.Fraction(factor) * unit
    return (product - 1) / unit


def add_promises(proofs, bits, fused, links, promised):
    """What the links make together, and what comments and the manual say."""
    name = row(bits, fused)
    approximations = APPROXIMATIONS[bits]
    number = fractions.Fraction
    exp = chain(bits, links["reduction"], links["exp"], approximations["exp"])
    # The last is for the rounded sum's logarithm in the denominator.
    log = chain(bits, max(map(number, links["logs"])), approximations["log"], "1/1000")
    lost = number(links["lost"])
    absolute = number(approximations["log_absolute"]) + number(1, 1000)
    of_pair = number(links["log_of_pair"]) + absolute
    minus_log = number(links["log_of_one"]) + number(links["minus_log"]) + absolute
    softmax = chain(bits, links["reduction"], links["softmax"], approximations["softmax"])
    # Where there is no fused multiply-add, a product of y and at most 0.415 of the sum is rounded.
    gradient = chain(bits, exp, lost, 1, *(() if fused else ("0.415",)))
    for text, bound in (
            ("exp_minus", exp), ("exp_minus_pair", chain(bits, exp, links["second_part"])),
            ("log1p_tail_of", log), ("reciprocal_1p", max(lost, number(links["reciprocal"]))),
            ("log1p_pair", of_pair), ("minus_log_pair", minus_log), ("lifted_exps", softmax),
            # log1p is no more sensitive than its argument; then two sums are rounded.
            ("element_loss, gamma 0", chain(bits, exp, log, 1, 1)),
            ("gradient, gamma 0", gradient)):
        proofs.promise(f"{text}, {name}", bound, promised[text])


def main():
    proofs = Proofs()
    for (bits, fused), links in LINKS.items():
        source = Source(KERNELS, bits)
        check_text(source, [*AS_READ, "logistic_of", "hard_values"])
        prove_exponential(proofs, source, bits, fused, links)
        prove_exponential_of_softmax(proofs, source, bits, fused, links)
        prove_logarithm(proofs, source, bits, fused, links)
        prove_pair_of_logarithm(proofs, source, bits, fused, links)
        prove_minus_log_pair(proofs, source, bits, fused, links)
        prove_reciprocal(proofs, source, bits, fused, links)
        add_promises(proofs, bits, fused, links, PROMISED[fused])
    for bits in sorted({bits for bits, _ in LINKS}):
        prove_approximations(proofs, Source(KERNELS, bits), bits, APPROXIMATIONS[bits])
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
