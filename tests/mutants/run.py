#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Breaks the sources in the ways that mutants.txt lists, one at a time, in private copies, and runs
the quick suite's programs on each: a mutant that they all pass has survived, and a test is missing.

One tree is built without a mutation.  Of a mutant, what includes the changed file is compiled again
and linked with the rest of that build.  BUILDS says which there are; all with -O1, which halves the
time of compiling.  A program is ended when its first case fails, and that case is run without the
mutation, where it has to pass.

Only the standard library of Python is needed, and of the project what its tests need."""

import argparse
import collections
import ctypes
import json
import os
import pathlib
import queue
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
COPIED = ["CMakeLists.txt", "bench", "cmake", "include", "src", "tests"]

# A test takes at most a tenth of this where nothing else runs.
TIMEOUT_SECONDS = 180

# Labels of what is not in the quick suite: what is never run, and what is run for a mutant that
# names it.
NEVER = {"proofs", "isa", "exhaustive"}
SLOW = {"long"}

# How a mutant can be built, by the arguments of CMake: with the rows that most need, with all rows,
# so that what is read or written behind an array is seen, and so that races are.
TWO_ROWS = ["-DFOCALGHM_FLAGS_SSE2=OFF", "-DFOCALGHM_FLAGS_AVX512=OFF",
            "-DFOCALGHM_WITHOUT_FUSED=OFF"]
BUILDS = {"avx2": TWO_ROWS, "all": [], "address": [*TWO_ROWS, "-DFOCALGHM_SANITIZE=address"],
          "thread": [*TWO_ROWS, "-DFOCALGHM_SANITIZE=thread"]}

# The sanitizers stop where the kernel makes addresses more random than they know.
ADDR_NO_RANDOMIZE = 0x0040000

# What a program prints of a case that fails, before it goes on with the others.
FAILED = re.compile(r"\[  FAILED  \] (\S+)$")


class Failure(Exception):
    """What is wrong with a mutant, or with the suite."""


class Mutant:
    def __init__(self, name):
        self.name = name
        self.file = self.equivalent = ""
        self.build = "avx2"
        self.before, self.after, self.tests = [], [], []

    def room(self):
        folder = pathlib.PurePath(self.file).parent.name
        return pathlib.PurePath(self.file).name if folder == "src" else folder + "/"

    def applied_to(self, text):
        """The text with the mutation; lines are compared without their indentation."""
        lines = text.split("\n")
        bare = [line.strip() for line in lines]
        length = len(self.before)
        places = [i for i in range(len(lines)) if bare[i:i + length] == self.before]
        if len(places) != 1:
            raise Failure(f"does not apply: {len(places)} places in {self.file}")
        lines[places[0]:places[0] + length] = self.after
        return "\n".join(lines)


def read_mutants(path):
    """Paragraphs of `key: value`, `- a line as it is` and `+ as it becomes`."""
    mutants = []
    for number, line in enumerate(path.read_text().split("\n"), 1):
        line = line.strip()
        key, _, value = line.partition(" ")
        if not line or line.startswith("#"):
            continue
        if key == "mutant:":
            mutants.append(Mutant(value))
        elif not mutants:
            sys.exit(f"{path}:{number}: no mutant yet")
        elif key == "-":
            mutants[-1].before.append(value.strip())
        elif key == "+":
            mutants[-1].after.append(value.strip())
        elif key == "file:":
            mutants[-1].file = value
        elif key == "build:" and value in BUILDS:
            mutants[-1].build = value
        elif key == "tests:":
            mutants[-1].tests = value.split()
        elif key == "equivalent:":
            mutants[-1].equivalent = value
        else:
            sys.exit(f"{path}:{number}: {key}?")
    names = collections.Counter(mutant.name for mutant in mutants)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        sys.exit(f"{path}: more than one: {' '.join(twice)}")
    return mutants


def start_anew(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


class Build:
    """The project without a mutation.  Programs are built when they are needed."""

    def __init__(self, folder, build, jobs, cmake_arguments):
        self.source, self.folder, self.jobs = folder / "source", folder / "build", jobs
        start_anew(self.source)
        for name in COPIED:
            # Both keep the times, so that what is as it was in the last run is not built again.
            copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy2
            copy(PROJECT / name, self.source / name)
        self.output(["cmake", "-S", self.source, "-B", self.folder, "-G", "Ninja",
                     "-DCMAKE_BUILD_TYPE=None", "-DCMAKE_C_FLAGS=-O1 -DNDEBUG",
                     "-DFOCALGHM_BUILD_BENCH=OFF", "-DFOCALGHM_BUILD_SHARED=OFF",
                     *BUILDS[build], *cmake_arguments])
        self.build_lock, self.test_lock = threading.Lock(), threading.Lock()
        self.made, self.passed = set(), {}
        self.including = collections.defaultdict(set)
        self.tests, self.quick = {}, []
        self.find_tests()
        self.commands = {edge["output"]: edge["command"]
                         for edge in json.loads(self.output(["ninja", "-t", "compdb"]))}

    def output(self, command):
        done = subprocess.run(command, cwd=self.folder if self.folder.is_dir() else None,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        if done.returncode != 0:
            raise Failure(f"{shlex.join(map(str, command))}\n{done.stdout}")
        return done.stdout

    def find_tests(self):
        """What each test's program is called with, and the names of the quick suite's, in its
        order.  ctest itself tells it of programs only that have been built."""
        text = (self.folder / "tests" / "CTestTestfile.cmake").read_text()
        name_of = r"\((?:\[=\[)?([\w.]+)(?:\]=\])? "
        labels = dict(re.findall("set_tests_properties" + name_of + '.*LABELS "(.*?)"', text))
        for name, command in re.findall("add_test" + name_of + r"(.*)\)", text):
            own = labels.get(name, "").split(";")
            if NEVER.isdisjoint(own):
                program, *arguments = shlex.split(command)
                program = str(pathlib.PurePath(program).relative_to(self.folder))
                self.tests[name] = [program, *arguments]
                self.quick += [name] if SLOW.isdisjoint(own) else []

    def make(self, targets):
        with self.build_lock:
            if self.made.issuperset(targets):
                return
            self.output(["ninja", "-j", str(self.jobs), *targets])
            self.made.update(targets)
            self.note_including()

    def note_including(self):
        """Of each file, the objects that include it and have been built."""
        for line in self.output(["ninja", "-t", "deps"]).split("\n"):
            if line.startswith(" "):
                path = os.path.normpath(self.folder / line.strip())
                if path.startswith(str(self.source)):
                    self.including[os.path.relpath(path, self.source)].add(output)
            else:
                output = line.partition(":")[0]

    def passes(self, name, case):
        """Whether a test's case passes without a mutation; else it tells nothing."""
        with self.test_lock:
            if (name, case) not in self.passed:
                self.passed[name, case] = failed_case([*self.tests[name], *case],
                                                      self.folder) is None
            return self.passed[name, case]


def end_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def failed_case(command, folder):
    """None if a test passes; else the arguments that choose the case that fails first, none if it
    does not say which.  77 says that it cannot be run here."""
    with subprocess.Popen([folder / command[0], *command[1:]], cwd=folder, errors="replace",
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, start_new_session=True) as process:
        limit = threading.Timer(TIMEOUT_SECONDS, end_group, [process])
        limit.start()
        try:
            for line in process.stdout:
                failed = FAILED.match(line.rstrip())
                if failed:
                    return (failed[1],)
            return None if process.wait() in (0, 77) else ()
        finally:
            limit.cancel()
            end_group(process)


class Worker:
    """A private copy of the sources, and what has been built of them with a mutation."""

    def __init__(self, folder, build):
        self.build, self.source, self.folder = build, folder / "source", folder / "build"
        start_anew(self.source)
        for name in "include", "src":
            shutil.copytree(build.source / name, self.source / name)
        (self.source / "tests").symlink_to(build.source / "tests")

    def prepare(self, mutant):
        path = self.source / mutant.file
        path.write_text(mutant.applied_to((self.build.source / mutant.file).read_text()))
        start_anew(self.folder)

    def restore(self, mutant):
        shutil.copy(self.build.source / mutant.file, self.source / mutant.file)

    def make(self, output, changed):
        """Builds an output, and before it what it is made of, if the mutation changes it."""
        if (self.folder / output).exists():
            return True
        command = self.build.commands[output]
        if output in changed:
            command = command.replace(str(self.build.source), str(self.source))
        else:
            words = shlex.split(command, posix=False)
            parts = {word for word in words if word in self.build.commands and word != output}
            made = {part for part in parts if self.make(part, changed)}
            if not made:
                return False
            command = " ".join(str(self.build.folder / word) if word in parts - made else word
                               for word in words)
        (self.folder / output).parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(command, shell=True, cwd=self.folder, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"does not build: {done.stdout}")
        return True

    def killer(self, mutant):
        """A test that fails with the mutation alone; None if none does."""
        self.prepare(mutant)
        tests = self.build.tests
        unknown = set(mutant.tests) - set(tests)
        if unknown:
            raise Failure(f"no tests: {' '.join(unknown)}")
        first = mutant.tests or self.build.quick[:1]
        rest = [name for name in self.build.quick if name not in first]
        for names in [*([name] for name in first), rest]:
            self.build.make([tests[name][0] for name in names])
            changed = self.build.including[mutant.file]
            for name in names:
                if not self.make(tests[name][0], changed):
                    continue
                case = failed_case(tests[name], self.folder)
                if case is not None and self.build.passes(name, case):
                    return " ".join([name, *case])
        if not any(self.folder.iterdir()):
            raise Failure("nothing that is tested includes the file")
        return None


class Results:
    def __init__(self):
        self.lock = threading.Lock()
        self.of = {}

    def add(self, mutant, verdict, text, seconds):
        with self.lock:
            self.of[mutant] = verdict
            print(f"{verdict:10} {mutant.name}: {text} ({seconds:.0f} s)", flush=True)

    def table(self):
        rooms = collections.defaultdict(collections.Counter)
        for mutant, verdict in self.of.items():
            rooms[mutant.room()][verdict] += 1
            rooms["all"][verdict] += 1
        verdicts = ["killed", "equivalent", "survived", "error"]
        print(f"\n{'':22}" + "".join(f"{verdict:>12}" for verdict in verdicts))
        for room in sorted(rooms, key=lambda room: (room == "all", room)):
            print(f"{room:22}" + "".join(f"{rooms[room][verdict]:12}" for verdict in verdicts))
        return rooms["all"]["survived"] + rooms["all"]["error"]


def work(folder, builds, mutants, end, results):
    workers = {}
    while time.monotonic() < end:
        try:
            mutant = mutants.get_nowait()
        except queue.Empty:
            return
        build = mutant.build
        start = time.monotonic()
        try:
            if build not in workers:
                workers[build] = Worker(folder / build, builds[build])
            killer = workers[build].killer(mutant)
            if killer is not None and mutant.equivalent:
                raise Failure(f"called equivalent, but {killer} fails")
            if killer is not None:
                verdict, text = "killed", killer
            elif mutant.equivalent:
                verdict, text = "equivalent", mutant.equivalent
            else:
                verdict, text = "survived", "all tests pass"
        except Failure as failure:
            verdict, text = "error", str(failure)
        finally:
            if build in workers:
                workers[build].restore(mutant)
        results.add(mutant, verdict, text, time.monotonic() - start)


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", help="mutants; none: all")
    parser.add_argument("-j", type=int, default=os.cpu_count(), metavar="N", help="workers")
    parser.add_argument("--sample", type=int, metavar="N", help="N of them that take one build and can be killed")
    parser.add_argument("--seed", type=int, default=1, help="which sample")
    parser.add_argument("--seconds", type=float, default=float("inf"), metavar="N",
                        help="begin with no mutant later than that")
    parser.add_argument("--folder", metavar="FOLDER",
                        help="keep what is built there for the next run")
    parser.add_argument("--list", action="store_true", help="only say whether they apply")
    parser.add_argument("--cmake", action="append", default=[], metavar="ARGUMENT",
                        help="one more for the configuration: --cmake=-DNAME=VALUE")
    return parser.parse_args()


def chosen(arguments):
    mutants = read_mutants(HERE / "mutants.txt")
    unknown = set(arguments.names) - {mutant.name for mutant in mutants}
    if unknown:
        sys.exit(f"No mutants: {' '.join(sorted(unknown))}")
    if arguments.names:
        mutants = [mutant for mutant in mutants if mutant.name in arguments.names]
    return mutants


def check_all_apply(mutants):
    """So that the list keeps up with the sources."""
    wrong = 0
    for mutant in mutants:
        try:
            mutant.applied_to((PROJECT / mutant.file).read_text())
        except (Failure, OSError) as failure:
            wrong += 1
            print(f"{mutant.name}: {failure}")
    return wrong


def main():
    arguments = options()
    mutants = chosen(arguments)
    wrong = check_all_apply(mutants)
    if arguments.list:
        print(f"{len(mutants)} mutants, {wrong} do not apply")
    if wrong or arguments.list:
        return 1 if wrong else 0
    if arguments.sample is not None:
        # Of one build: that takes most of the time.
        killable = [mutant for mutant in mutants
                    if not mutant.equivalent and mutant.build == "avx2"]
        mutants = random.Random(arguments.seed).sample(killable, arguments.sample)
    end = time.monotonic() + arguments.seconds
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).personality(ADDR_NO_RANDOMIZE)
    os.environ["ASAN_OPTIONS"] = "detect_leaks=0"  # which test_alloc finds
    os.environ["FOCALGHM_TEST_FEWER_ROWS"] = "1"
    results = Results()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(arguments.folder or temporary).resolve()
        builds = {build: Build(folder / build, build, arguments.j, arguments.cmake)
                  for build in sorted({mutant.build for mutant in mutants})}
        waiting = queue.Queue()
        for mutant in mutants:
            waiting.put(mutant)
        threads = [threading.Thread(target=work,
                                    args=(folder / str(i), builds, waiting, end, results))
                   for i in range(arguments.j)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        broken = {name for build in builds.values() for (name, _), passed in build.passed.items()
                  if not passed}
    wrong = results.table()
    if broken:
        print(f"Not passed without a mutation, so of no use: {' '.join(sorted(broken))}")
    if not waiting.empty():
        print(f"Not begun: {waiting.qsize()}")
    return 1 if wrong > 0 or broken or not waiting.empty() else 0


if __name__ == "__main__":
    sys.exit(main())
