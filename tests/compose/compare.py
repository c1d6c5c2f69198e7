#!/usr/bin/env python3
"""Compares what `evenkeel render` makes of Compose files with what `docker compose config` makes of them.

README.md beside this file says how cases are laid out and how to read the output. Needs nothing but Python 3.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DEFAULT_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
SECONDS = 30
# The exit code of a Rust program that panicked.
PANIC = 101
# Options that Compose wants before the word `config`; all others go behind it.
BEFORE_CONFIG = {"-f", "--file", "-p", "--project-name", "--project-directory", "--profile", "--env-file"}
ABSENT = object()


class Case:
    """One comparison: a folder to run in, and the options and variables to run with."""

    def __init__(self, name, folder, options, variables, must=None):
        self.name, self.folder, self.options, self.variables = name, folder, options, variables
        # What Compose is known to do with it: "accept", "refuse", or None for files that nobody has judged yet.
        self.must = must


class Answer:
    """What one of the two programs said: a model, or a message about why there is none."""

    def __init__(self, model=None, message="", failed=False):
        # A program that crashed, hung or didn't know an option has refused nothing: it has failed.
        self.model, self.message, self.failed = model, message.strip(), failed


def lines_of(path):
    if not path.is_file():
        return []
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def case_in(folder, must):
    """The case that a folder is, if it is one."""
    options = [word for line in lines_of(folder / "options") for word in line.split(maxsplit=1)]
    if not options or not any(option in ("-f", "--file") for option in options):
        found = next((name for name in DEFAULT_NAMES if (folder / name).is_file()), None)
        if found is None:
            return None
        options = ["-f", found, *options]
    variables = dict(line.split("=", 1) for line in lines_of(folder / "variables"))
    return Case(folder.name, folder, options, variables, must)


def cases_of(folder):
    """Every case below a folder: the folder itself, its sub-folders, or else each YAML file directly in it."""
    must = {HERE / "cases": "accept", HERE / "refused": "refuse"}
    own = must.get(folder.parent)
    single = case_in(folder, own)
    if own is not None:
        return [single] if single else []
    found = [case_in(sub, must.get(folder)) for sub in sorted(folder.iterdir()) if sub.is_dir()]
    found = [case for case in found if case]
    if (folder / "options").is_file() and single:
        return [single, *found]
    files = sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml") and path.is_file())
    return [Case(path.name, folder, ["-f", path.name], {}) for path in files] + found


def compose_command():
    given = os.environ.get("COMPOSE")
    if given:
        return [given]
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True).returncode == 0:
            return command
    sys.exit("no Compose found: set COMPOSE=/path/to/docker-compose, or use --recorded")


def environment(case):
    """Nothing of the caller's environment but what a program needs to start, and the variables of the case."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    if "HOME" in kept:
        # A case may name another home; the plugins of `docker` are still in the real one.
        kept["DOCKER_CONFIG"] = os.path.join(kept["HOME"], ".docker")
    return kept | case.variables


def run(command, case):
    try:
        done = subprocess.run(
            command,
            cwd=case.folder,
            env=environment(case),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Answer(message=f"no answer within {SECONDS} s", failed=True)
    except OSError as error:
        sys.exit(f"{command[0]}: {error}")
    message = done.stderr.decode("utf-8", "replace")
    if done.returncode != 0:
        failed = done.returncode < 0 or done.returncode == PANIC or "unexpected argument '" in message
        return Answer(message=message or f"exit code {done.returncode}", failed=failed)
    try:
        return Answer(model=json.loads(done.stdout.decode("utf-8", "replace")))
    except ValueError as error:
        return Answer(message=f"its output is not JSON: {error}", failed=True)


def ask_compose(command, case):
    before, behind, words = [], [], iter(case.options)
    for word in words:
        if word.split("=", 1)[0] in BEFORE_CONFIG:
            before += [word] if "=" in word else [word, next(words, "")]
        else:
            behind.append(word)
    return run([*command, *before, "config", "--format", "json", *behind], case)


def ask_evenkeel(command, case):
    with tempfile.TemporaryDirectory() as state:
        return run([*command, "--state", state, *case.options], case)


def evenkeel_command():
    program = os.environ.get("EVENKEEL", str(ROOT / "target/debug/evenkeel"))
    program = str(Path(program).resolve()) if os.sep in program else program
    try:
        manual = subprocess.run([program, "render", "--help"], capture_output=True).stdout.decode("utf-8", "replace")
    except OSError as error:
        sys.exit(f"{program}: {error}: build it, or set EVENKEEL=/path/to/evenkeel")
    # Without this flag values of variables are hidden, which is right for people and useless for a comparison.
    reveal = ["--reveal-variables"] if "--reveal-variables" in manual else []
    return [program, "render", "--format", "json", *reveal]


def recorded(case):
    """The answer of Compose that is kept beside the case."""
    path = case.folder / "expected.json"
    if path.is_file():
        text = json.dumps(str(case.folder))[1:-1]
        return Answer(model=json.loads(path.read_text(encoding="utf-8").replace("@FOLDER@", text)))
    path = case.folder / "refusal.txt"
    return Answer(message=path.read_text(encoding="utf-8") if path.is_file() else "nothing is recorded: run --record")


def record(case, answer):
    """Keeps the answer of Compose beside the case; true if it is the answer that the case is there for."""
    wanted = "accept" if answer.model is not None else "refuse"
    if answer.failed or "\npanic: " in f"\n{answer.message}":
        print(f"{case.name}: Compose fails: {first_lines(answer.message)}")
        return False
    if case.must is None:
        print(f"{case.name}: not a case of the corpus, not recorded")
        return False
    if case.must != wanted:
        print(f"{case.name}: Compose should {case.must} it: {answer.message or 'it does not'}")
        return False
    if answer.model is not None:
        text = json.dumps(answer.model, indent=2, ensure_ascii=False).replace(str(case.folder), "@FOLDER@")
        (case.folder / "expected.json").write_text(text + "\n", encoding="utf-8")
    else:
        lines = answer.message.replace(str(case.folder), "@FOLDER@").splitlines()
        # Warnings carry the time of day; the last line is the refusal.
        lines = [line for line in lines if not line.startswith("time=")]
        (case.folder / "refusal.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return True


def shown(value):
    return "(absent)" if value is ABSENT else json.dumps(value, ensure_ascii=False, sort_keys=True)


def kind(value):
    """JSON has one kind of number; Python has two, and counts `true` as a third."""
    return float if type(value) in (int, float) else type(value)


def step(path, key):
    plain = key and all(char.isalnum() or char in "_-" for char in key)
    if not plain:
        return f"{path}[{json.dumps(key, ensure_ascii=False)}]"
    return f"{path}.{key}" if path else key


def differences(theirs, ours, path=""):
    """Every place where two models differ: the path, and the value on each side."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted(theirs.keys() | ours.keys()):
            yield from differences(theirs.get(key, ABSENT), ours.get(key, ABSENT), step(path, key))
    elif isinstance(theirs, list) and isinstance(ours, list):
        for index in range(max(len(theirs), len(ours))):
            sides = [side[index] if index < len(side) else ABSENT for side in (theirs, ours)]
            yield from differences(*sides, f"{path}[{index}]")
    elif kind(theirs) is not kind(ours) or theirs != ours:
        yield path or "(the whole)", theirs, ours


def last_line(message):
    lines = [line for line in message.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no message"


def first_lines(message):
    return " ".join(message.split())[:300]


def judge(theirs, ours):
    """Whether both answers agree, and what to say if they don't."""
    if ours.failed:
        return False, [f"failed: {first_lines(ours.message)}"]
    if theirs.model is None:
        if ours.model is None:
            return True, []
        return False, [f"accepted, but Compose refuses it: {last_line(theirs.message)}"]
    if ours.model is None:
        return False, [f"refused, but Compose accepts it: {first_lines(ours.message)}"]
    found = [f"{path}: {shown(left)} ≠ {shown(right)}" for path, left, right in differences(theirs.model, ours.model)]
    return not found, found


def parsed():
    parser = argparse.ArgumentParser(
        description="Compares `evenkeel render` with `docker compose config`, key by key: Compose's value ≠ ours.",
        epilog="Set COMPOSE and EVENKEEL to the paths of the two programs if they are not found.",
    )
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="default: the corpus beside this script")
    parser.add_argument("-q", "--quiet", action="store_true", help="only the summary")
    parser.add_argument("--recorded", action="store_true", help="use the kept answers of Compose instead of running it")
    parser.add_argument("--record", action="store_true", help="run Compose only, and keep its answers beside the cases")
    return parser.parse_args()


def main():
    options = parsed()
    folders = [folder.resolve() for folder in options.folders] or [HERE / "cases", HERE / "refused"]
    for folder in folders:
        if not folder.is_dir():
            sys.exit(f"{folder}: not a folder")
    cases = [case for folder in folders for case in cases_of(folder)]
    if not cases:
        sys.exit("no Compose files there")
    compose = None if options.recorded else compose_command()
    ask = recorded if compose is None else lambda case: ask_compose(compose, case)
    with ThreadPoolExecutor(max_workers=2) as pool:
        if options.record:
            kept = [record(case, answer) for case, answer in zip(cases, pool.map(ask, cases))]
            print(f"{sum(kept)} of {len(kept)} recorded")
            return 0 if all(kept) else 1
        evenkeel = evenkeel_command()
        answers = pool.map(lambda case: (ask(case), ask_evenkeel(evenkeel, case)), cases)
        equal, refused = [], []
        for case, (theirs, ours) in zip(cases, answers):
            agreed, complaints = judge(theirs, ours)
            (refused if theirs.model is None else equal).append(agreed)
            if not options.quiet:
                for complaint in complaints:
                    print(f"{case.name}: {complaint}")
    if equal:
        print(f"{sum(equal)} of {len(equal)} equal")
    if refused:
        print(f"{sum(refused)} of {len(refused)} refused")
    return 0 if all(equal) and all(refused) else 1


if __name__ == "__main__":
    sys.exit(main())
