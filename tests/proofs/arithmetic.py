# SPDX-License-Identifier: MIT
"""What operations of src/vec become: lines of Gappa, with and without rounding, or a formula."""

import fractions
import re

from kernel_source import Failure, Struct


def dyadic(number):
    """As Gappa and Sollya both read it, exactly."""
    numerator, denominator = number.numerator, number.denominator
    exponent = 1 - denominator.bit_length()
    if denominator & (denominator - 1):
        raise Failure(f"{number} is not a binary number")
    while numerator and numerator % 2 == 0:
        numerator, exponent = numerator // 2, exponent + 1
    return f"{numerator}b{exponent}" if numerator else "0"


def is_power_of_2(number):
    return number > 0 and {number.numerator.bit_count(), number.denominator.bit_count()} == {1}


def is_exact_factor(value):
    return value.number is not None and is_power_of_2(value.number)


class Value:
    def __init__(self, text, exact, number=None):
        self.text, self.exact, self.number = text, exact, number


class Arithmetic:
    """Constants are evaluated here, in a type of so many digits."""

    def __init__(self, digits):
        self.digits = digits

    def constant(self, number):
        number = fractions.Fraction(number)
        text = dyadic(number) if number >= 0 else f"({dyadic(number)})"
        return Value(text, text, number)

    def rounded(self, number):
        """To nearest, ties to even."""
        if number == 0:
            return number
        unit = fractions.Fraction(1)
        while abs(number) >= unit * 2 ** self.digits:
            unit *= 2
        while abs(number) < unit * 2 ** (self.digits - 1):
            unit /= 2
        return round(number / unit) * unit

    def operation(self, values, number, text, exact):
        if all(value.number is not None for value in values):
            return self.constant(self.rounded(number(*(value.number for value in values))))
        return self.define(text, exact)

    def named(self, name, value):
        if isinstance(value, Struct):
            return Struct((field, self.named(f"{name}_{field}", x)) for field, x in value.items())
        return value if isinstance(value, list) or value.number is not None else \
            self.renamed(name, value)

    def negated(self, a):
        return self.constant(-a.number) if a.number is not None else Value(f"(-{a.text})",
                                                                           f"(-{a.exact})")

    def v_set(self, a):
        return a

    def v_add(self, a, b):
        if a.number == 0 or b.number == 0:
            return b if a.number == 0 else a
        return self.operation((a, b), lambda x, y: x + y, f"{a.text} + {b.text}",
                              f"{a.exact} + {b.exact}")

    def v_sub(self, a, b):
        if a.number == 0:
            return self.negated(b)
        if b.number == 0:
            return a
        if a.text and a.text == b.text:
            return self.constant(0)
        return self.operation((a, b), lambda x, y: x - y, f"{a.text} - {b.text}",
                              f"{a.exact} - {b.exact}")

    def v_mul(self, a, b):
        for x, factor in ((a, b), (b, a)):
            if factor.number == 1:
                return x
            if x.number is None and is_exact_factor(factor):
                return self.exactly(f"{x.text} * {factor.text}", f"{x.exact} * {factor.exact}")
        return self.operation((a, b), lambda x, y: x * y, f"{a.text} * {b.text}",
                              f"{a.exact} * {b.exact}")

    def v_div(self, a, b):
        return self.operation((a, b), lambda x, y: x / y, f"{a.text} / {b.text}",
                              f"{a.exact} / {b.exact}")

    def v_product_minus(self, a, b, c):
        """Fused in every row."""
        if is_exact_factor(a):
            return self.v_sub(self.v_mul(a, b), c)
        return self.define(f"{a.text} * {b.text} - {c.text}", f"{a.exact} * {b.exact} - {c.exact}")

    # Nothing is subnormal here, so that factors that are powers of two are exact.  What makes such
    # a factor makes 1: errors are relative.

    def v_exponent(self, _):
        return self.constant(1)


class Formula(Arithmetic):
    """Without rounding, as one expression."""

    def define(self, _, exact):
        return Value("", f"({exact})")

    exactly = define

    def renamed(self, _, value):
        return value

    def v_muladd(self, a, b, c):
        return self.define("", f"{a.exact} * {b.exact} + {c.exact}")

    def v_mulsub(self, a, b, c):
        return self.define("", f"{a.exact} * {b.exact} - {c.exact}")

    def v_nmuladd(self, a, b, c):
        return self.define("", f"{c.exact} - {a.exact} * {b.exact}")

    def variable(self, name):
        return Value(name, name)


class Gappa(Arithmetic):
    """Each value has a name in Gappa, and one with an M before it for what it would be if nothing
    from the inputs on were rounded."""

    def __init__(self, bits, fused, fresh=()):
        """What has a name of `fresh` counts as exact."""
        super().__init__({32: 24, 64: 53}[bits])
        self.fused, self.fresh = fused, fresh
        self.lines = [f"@rnd = float<ieee_{bits}, ne>;"]
        self.count = 0
        self.names = {}

    def exactly(self, text, exact):
        name = f"temporary{self.count}"
        self.count += 1
        self.lines += [f"{name} = {text};", f"M{name} = {exact};"]
        return Value(name, "M" + name)

    def define(self, text, exact):
        return self.exactly(f"rnd({text})", exact)

    def renamed(self, name, value):
        """The first name in the source, with a number if another value has it."""
        if value.text.startswith("temporary") and value.text not in self.names:
            number = 2
            unique = name
            while unique in self.names.values():
                unique = f"{name}{number}"
                number += 1
            self.names[value.text] = unique
            if unique in self.fresh:
                value.exact = value.text
        return value

    def with_names(self, text):
        return re.sub(r"\b(M?)(temporary\d+)\b",
                      lambda match: match[1] + self.names.get(match[2], match[2]), text)

    def find(self, text):
        """The name of what is computed so."""
        for line in self.lines:
            name, _, made = self.with_names(line).partition(" = ")
            if made == text + ";":
                return name
        raise Failure(f"nothing is {text}")

    def script(self, goal, hints):
        return self.with_names("\n".join([*self.lines, f"{{ {goal} }}", hints, ""]))

    def variable(self, name):
        """A number of the type."""
        self.lines.append(f"{name} = rnd({name}_);")
        return Value(name, name)

    def _one_rounding(self, a, b, c):
        """Whether it makes a difference that the three are fused."""
        return self.fused and c.number != 0 and not is_exact_factor(a) and not is_exact_factor(b)

    def unrounded(self, value):
        """What is rounded, last, to give it."""
        for line in self.lines:
            name, _, made = self.with_names(line).partition(" = ")
            if name == self.with_names(value.text):
                return re.fullmatch(r"rnd(\(.*\));", made)[1]
        raise Failure(f"nothing makes {value.text}")

    def v_muladd(self, a, b, c):
        if self._one_rounding(a, b, c):
            return self.define(f"{a.text} * {b.text} + {c.text}",
                               f"{a.exact} * {b.exact} + {c.exact}")
        return self.v_add(self.v_mul(a, b), c)

    def v_mulsub(self, a, b, c):
        if self._one_rounding(a, b, c):
            return self.define(f"{a.text} * {b.text} - {c.text}",
                               f"{a.exact} * {b.exact} - {c.exact}")
        return self.v_sub(self.v_mul(a, b), c)

    def v_nmuladd(self, a, b, c):
        if self._one_rounding(a, b, c):
            return self.define(f"{c.text} - {a.text} * {b.text}",
                               f"{c.exact} - {a.exact} * {b.exact}")
        return self.v_sub(c, self.v_mul(a, b))

    def exact_sum(self, a, b):
        """Knuth's: without error (The Art of Computer Programming, volume 2, 4.2.2)."""
        high = self.define(f"{a.text} + {b.text}", f"{a.exact} + {b.exact}")
        return Struct(high=high, low=self.exactly(f"-({high.text} - ({a.text} + {b.text}))", "0"))
