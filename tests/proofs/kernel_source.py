# SPDX-License-Identifier: MIT
"""Reads kernels: enough of C to evaluate their functions with values of the caller's choice, so that
what is proved is what the sources say.  What it does not know is an error."""

import fractions
import re

TOKEN = re.compile(r"""\s*(?:/\*.*?\*/|//[^\n]*|
    (?P<number>0x[0-9a-fA-F.]+(?:p[+-]?\d+)?[fu]?|\d+\.?\d*[fu]?)|
    (?P<name>[A-Za-z_]\w*)|(?P<sign>\+\+|\+=|->|<=|>=|==|<<|>>|[-+*/%<>=?:;,.(){}\[\]&|!]))""",
                   re.VERBOSE | re.DOTALL)
TYPES = {"vreal", "vmask", "vindex", "real", "double", "int", "uint64_t"}
QUALIFIERS = {"const", "static", "inline", "KERNEL_INLINE", "KERNEL_UNROLL"}


class Failure(Exception):
    """The sources are not what the proofs are of."""


def tokens_of(text):
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match:
            raise Failure(f"cannot read: {text[at:at + 40]!r}")
        at = match.end()
        if match.lastgroup:
            tokens.append(match[match.lastgroup])
    return tokens


def number_of(token):
    token = token.rstrip("u") if not token.startswith("0x") or "p" not in token else token
    if token.startswith("0x"):
        if "p" not in token:
            return fractions.Fraction(int(token, 16))
        return fractions.Fraction(float.fromhex(token.rstrip("f")))
    return fractions.Fraction(token.rstrip("f"))


def without_comments(text):
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)


class Source:
    """Macros, structures, arrays and functions of some files, for a type of so many bits."""

    def __init__(self, files, bits):
        self.macros, self.structures, text = {}, {}, ""
        for file in files:
            text += self._preprocessed(file.read_text(), bits)
        self.text = text
        for name, body in re.findall(r"\bstruct (\w+) \{([^{}]*)\}", text):
            found = [re.fullmatch(r"\s*(?:vreal|struct \w+) ([\w, ]*)", line)
                     for line in body.split(";")]
            self.structures[name] = [field for match in found if match
                                     for field in match[1].replace(" ", "").split(",")]

    def _preprocessed(self, text, bits):
        """Only conditions on the type's width are decided; others count as true."""
        lines, taken = [], []
        for line in without_comments(text).replace("\\\n", " ").split("\n"):
            words = line.split(None, 2)
            directive = words[0] if words and words[0].startswith("#") else ""
            width = re.fullmatch(r"\s*#(?:el)?if FGHM_REAL_BITS == (\d+)\s*", line)
            if directive in ("#if", "#ifdef", "#ifndef"):
                taken.append([width is None or int(width[1]) == bits, width is not None])
                taken[-1].append(taken[-1][0])
            elif directive == "#elif":
                taken[-1][0] = width is not None and int(width[1]) == bits
                taken[-1][2] |= taken[-1][0]
            elif directive == "#else":
                taken[-1][0] = not taken[-1][2]
            elif directive == "#endif":
                taken.pop()
            elif all(level[0] for level in taken):
                if directive == "#define" and "(" not in words[1]:
                    self.macros[words[1]] = words[2] if len(words) > 2 else ""
                elif not directive:
                    lines.append(line)
        return "\n".join(lines)

    def function(self, name):
        """Names of the parameters, and the tokens of the body."""
        found = re.findall(rf"\b{name}\(([^()]*)\)\s*\{{(.*?)\n\}}", self.text, flags=re.DOTALL)
        if len(found) != 1:
            raise Failure(f"{len(found)} functions {name}")
        parameters = [parameter.split()[-1].lstrip("*") for parameter in found[0][0].split(",")]
        return parameters, self._expanded(tokens_of(found[0][1]))

    def _expanded(self, tokens):
        """With macros that are statements; values stay names, until they are asked for."""
        out = []
        for token in tokens:
            body = self.macros.get(token, "")
            out += tokens_of(body) if re.search(r"\bfor\b", body) else [token]
        return [token for token in out if token not in QUALIFIERS]

    def array(self, name):
        found = re.findall(rf"\b{name}\[\w+\] = \{{([^{{}}]*)\}};", self.text)
        if len(found) != 1:
            raise Failure(f"{len(found)} arrays {name}")
        items = [item.strip() for item in found[0].split(",") if item.strip()]
        return [-number_of(item[1:]) if item[0] == "-" else number_of(item) for item in items]

    def body(self, name):
        return " ".join(self.function(name)[1])


class Struct(dict):
    pass


class Evaluation:
    """Evaluates functions; `arithmetic` has the operations.  A variable in `given`, by
    "function.variable", is not evaluated: it has the value there, if the source makes it as is
    said there."""

    def __init__(self, source, arithmetic, given=None):
        self.source, self.arithmetic = source, arithmetic
        self.given = dict(given or {})
        self.used = set()

    def call(self, name, *arguments):
        special = getattr(self.arithmetic, name, None)
        return self.read(name, *arguments) if special is None else special(*arguments)

    def read(self, name, *arguments):
        """What the source makes of them, also where the arithmetic has something else."""
        parameters, tokens = self.source.function(name)
        if len(parameters) != len(arguments):
            raise Failure(f"{name} has {len(parameters)} parameters, not {len(arguments)}")
        return Frame(self, name, dict(zip(parameters, arguments)), tokens).run()

    def record(self, name, fresh=False):
        """Arguments and results of the calls of a function, in a list to come; `fresh` results count
        as exact."""
        calls = []

        def call(*arguments):
            result = self.read(name, *arguments)
            if fresh:
                for value in result.values():
                    value.exact = value.text
            calls.append((arguments, result))
            return result

        setattr(self.arithmetic, name, call)
        return calls

    def constant_of(self, text):
        return Frame(self, text, {}, tokens_of(text)).expression()

    def finish(self):
        if set(self.given) != self.used:
            raise Failure(f"no variables {sorted(set(self.given) - self.used)}")


class Frame:
    def __init__(self, evaluation, function, variables, tokens):
        self.evaluation, self.function = evaluation, function
        self.variables, self.tokens, self.at = variables, tokens, 0
        self.result = None

    def fail(self, what):
        near = " ".join(self.tokens[max(0, self.at - 3):self.at + 8])
        raise Failure(f"{self.function}: {what}, at: {near}")

    def peek(self, offset=0):
        at = self.at + offset
        return self.tokens[at] if at < len(self.tokens) else ""

    def take(self, token=None):
        got = self.peek()
        if not got or (token is not None and got != token):
            self.fail(f"expected {token}")
        self.at += 1
        return got

    def run(self):
        while self.at < len(self.tokens) and self.result is None:
            self.statement()
        return self.result

    def statement(self):
        if self.peek() == "{":
            self.take()
            while self.peek() != "}":
                self.statement()
            self.take()
        elif self.peek() == "return":
            self.take()
            self.result = self.expression()
            self.take(";")
        elif self.peek() == "for":
            self.loop()
        elif self.peek() in TYPES or (self.peek() == "struct" and self.peek(2) != "{"):
            self.declaration()
        elif self.peek() == "memcpy":
            self.copy()
        elif self.tokens[self.at:self.at + 3] == ["(", "void", ")"]:
            while self.take() != ";":
                pass
        else:
            self.assignment()

    def copy(self):
        """memcpy(&to, &from, sizeof to), which only what is given can follow."""
        to = self.peek(3)
        self.variables[to] = self.evaluated(to, self.expression)
        self.take(";")

    def loop(self):
        for token in ("for", "(", "int"):
            self.take(token)
        name = self.take()
        self.take("=")
        value = self.constant()
        self.take(";")
        self.take(name)
        self.take("<")
        end = self.constant()
        for token in (";", name, "++", ")"):
            self.take(token)
        start = self.at
        if value >= end:
            self.fail("a loop without a round")
        while value < end:
            self.at = start
            self.variables[name] = self.evaluation.arithmetic.constant(value)
            self.statement()
            value += 1

    def constant(self):
        number = self.expression().number
        if number is None:
            self.fail("not a constant")
        return number

    def declaration(self):
        structure = self.take() == "struct" and self.take()
        while True:
            name = self.take()
            if self.peek() == "[":
                self.take()
                self.variables[name] = [None] * int(self.constant())
                self.take("]")
            elif self.peek() == "=":
                self.take()
                self.set(name, name, lambda: self.literal(structure) if self.peek() == "{"
                         else self.expression())
            if self.take() == ";":
                return

    def assignment(self):
        name = self.take()
        if self.peek() == "[":
            self.take()
            index = int(self.constant())
            self.take("]")
            self.take("=")
            value = self.evaluated(f"{name}", self.expression)
            self.variables[name][index] = self.named(name, value)
        elif self.peek() == ".":
            self.take()
            field = self.take()
            self.take("=")
            self.variables[name] = Struct(self.variables[name])
            self.variables[name][field] = self.named(
                f"{name}_{field}", self.evaluated(f"{name}.{field}", self.expression))
        else:
            self.take("=")
            self.set(name, name, self.expression)
        self.take(";")

    def set(self, name, key, make):
        self.variables[name] = self.named(name, self.evaluated(key, make))

    def named(self, name, value):
        """Gives what the arithmetic made a name of the source."""
        return self.evaluation.arithmetic.named(f"{self.function}_{name}", value)

    def evaluated(self, key, make):
        """The value of what stands next, unless it is given."""
        given = self.evaluation.given.get(f"{self.function}.{key}")
        if given is None:
            return make()
        start, depth = self.at, 0
        while self.peek() not in (";", ",") or depth > 0:
            depth += {"(": 1, ")": -1}.get(self.peek(), 0)
            self.take()
        text = " ".join(self.tokens[start:self.at])
        if text != " ".join(tokens_of(given[0])):
            self.fail(f"{key} is not made by {given[0]}")
        self.evaluation.used.add(f"{self.function}.{key}")
        return given[1]

    def literal(self, structure):
        """Also with the names of all fields, in order; a pair may stand within."""
        self.take("{")
        fields = self.evaluation.source.structures[structure]
        values = []
        while self.peek() != "}":
            if self.peek() == ".":
                for token in (".", fields[len(values)], "="):
                    self.take(token)
            values.append(self.literal("pair") if self.peek() == "{" else self.expression())
            if self.peek() == ",":
                self.take()
        self.take("}")
        if len(values) != len(fields):
            self.fail(f"struct {structure} has {len(fields)} fields")
        return Struct(zip(fields, values))

    def expression(self):
        value = self.term()
        while self.peek() in ("+", "-"):
            operation = self.evaluation.arithmetic.v_add if self.take() == "+" else \
                self.evaluation.arithmetic.v_sub
            value = operation(value, self.term())
        return value

    def term(self):
        value = self.factor()
        while self.peek() in ("*", "/"):
            operation = self.evaluation.arithmetic.v_mul if self.take() == "*" else \
                self.evaluation.arithmetic.v_div
            value = operation(value, self.factor())
        return value

    def factor(self):
        arithmetic = self.evaluation.arithmetic
        token = self.take()
        if token == "-":
            return arithmetic.negated(self.factor())
        if token == "(":
            if self.peek() == "struct":
                self.take()
                structure = self.take()
                self.take(")")
                return self.literal(structure)
            if self.peek() in TYPES:
                self.take()
                self.take(")")
                return self.factor()
            value = self.expression()
            self.take(")")
        elif token == "REAL" and self.peek() == "(":
            self.take()
            value = self.expression()
            self.take(")")
        elif token[0].isdigit():
            return arithmetic.constant(arithmetic.rounded(number_of(token)))
        elif self.peek() == "(":
            self.take()
            arguments = []
            while self.peek() != ")":
                arguments.append(self.expression())
                if self.peek() == ",":
                    self.take()
            self.take()
            value = self.evaluation.call(token, *arguments)
        elif token in self.variables:
            value = self.variables[token]
        elif token in self.evaluation.source.macros:
            body = tokens_of(self.evaluation.source.macros[token])
            value = Frame(self.evaluation, self.function, {}, body).expression()
        elif self.peek() == "[":
            value = [arithmetic.constant(x) for x in self.evaluation.source.array(token)]
        else:
            self.fail(f"{token} is not known")
        while self.peek() in (".", "["):
            if self.take() == ".":
                value = value[self.take()]
            else:
                value = value[int(self.constant())]
                self.take("]")
        return value
