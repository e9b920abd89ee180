"""What rules are told: the parameters that count and the inputs of every job behind a target, without Snakemake."""

import inspect
import re
from functools import cache
from types import SimpleNamespace

from imports import ROOT, own_rules
from mettle import plan as planning

FOLDER = ROOT / "workflow" / "rules"
_RULE = re.compile(r"^rule (\w+):\n", re.MULTILINE)
_DERIVED = re.compile(r"^use rule (\w+) as (\w+) with:\n(.*?)(?=^use rule |^rule |\Z)", re.MULTILINE | re.DOTALL)
_DIRECTIVE = re.compile(r"^    (\w+):", re.MULTILINE)


def rules():
    """Text by directive of every rule, those included that make other files than the rule that they use."""
    found = {}
    for file in sorted(FOLDER.glob("*.smk")):
        pieces = _RULE.split(own_rules(file))
        for name, text in zip(pieces[1::2], pieces[2::2], strict=True):
            found[name] = _parts(text)
        for base, name, text in _DERIVED.findall(file.read_text()):
            if "output" in (parts := _parts(text)):
                found[name] = found[base] | parts
    return found


def _parts(text):
    parts = _DIRECTIVE.split(text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


RULES = rules()


def jobs(plan, targets):
    """Parameters that count and inputs by (rule, first output), of all jobs behind some targets.

    Parameters
    ----------
    plan : the plan
    targets : paths
    """
    grammar = _Grammar(plan)
    found, todo = {}, list(targets)
    while todo:
        job = grammar.job(todo.pop())
        if job and job.key not in found:
            found[job.key] = job.counted, job.inputs
            todo += job.inputs
    return found


def again(before, after):
    """Rules of which a job is told something else in `after`, and those with jobs that `before` has not."""
    changed = {key[0] for key in before.keys() & after.keys() if before[key] != after[key]}
    return changed, {key[0] for key in after.keys() - before.keys()}


def followers(found):
    """Rules that take, directly or not, what each rule makes."""
    makers = {}
    for rule, output in found:
        makers[output] = rule
    direct = {}
    for (rule, _), (_, inputs) in found.items():
        for path in inputs:
            if maker := makers.get(path):
                direct.setdefault(maker, set()).add(rule)
    return {rule: _reach(rule, direct) for rule in RULES}


def _reach(rule, direct):
    seen, todo = set(), [rule]
    while todo:
        for following in direct.get(todo.pop(), set()) - seen:
            seen.add(following)
            todo.append(following)
    return seen


class _Grammar:
    """The rules with what a plan gives them."""

    def __init__(self, plan):
        same = lambda value, **other: value  # noqa: E731
        flags = dict.fromkeys(["report", "directory", "ancient", "update"], same)
        functions = {name: getattr(planning, name) for name in planning.__all__}
        self.names = {"PLAN": plan, **functions, **flags}
        self.results = plan.results
        common = (FOLDER / "common.smk").read_text().split("wildcard_constraints:")[1]
        self.constraints = self._keywords(common)
        self.inputs = {rule: self._call(parts.get("input", "")) for rule, parts in RULES.items()}
        self.counted = {rule: _counted(self._call(parts["params"])[1]) for rule, parts in RULES.items()}
        self.outputs = [(expression, rule, first) for rule in RULES for expression, first in self._outputs(RULES[rule])]

    def job(self, path):
        """The job that makes a path; None for what no rule makes."""
        for expression, rule, first in self.outputs:
            if match := expression.fullmatch(path):
                return self._job(rule, match.groupdict(), first)
        return None

    def _job(self, rule, wildcards, first):
        given = SimpleNamespace(**wildcards)
        positional, named = self.inputs[rule]
        inputs = [path for value in (*positional, *named.values()) for path in self._paths(value, given)]
        counted = {key: self._value(value, given) for key, value in self.counted[rule].items()}
        key = (rule, first.format(**wildcards))
        return SimpleNamespace(key=key, counted=counted, inputs=inputs)

    def _outputs(self, parts):
        positional, named = self._call(parts["output"])
        patterns = [self._placed(pattern) for pattern in (*positional, *named.values())]
        constraints = self.constraints | self._keywords(parts.get("wildcard_constraints", ""))
        return [(re.compile(_expression(pattern, constraints)), patterns[0]) for pattern in patterns]

    def _keywords(self, text):
        return self._call(text)[1]

    def _call(self, text):
        return eval(_compiled(text), {"_call": lambda *args, **kwargs: (args, kwargs), **self.names})

    def _paths(self, value, wildcards):
        value = self._value(value, wildcards)
        return list(map(self._placed, [value] if isinstance(value, str) else value))

    def _placed(self, path):
        """A path with Snakemake's name for the folder of results replaced, as Snakemake does it."""
        return path.replace("<results>", self.results)

    def _value(self, value, wildcards):
        if callable(value):
            return value(wildcards)
        return value.format(**vars(wildcards)) if isinstance(value, str) else value


@cache
def _compiled(text):
    return compile(f"_call({text}\n)", "rule", "eval")


def _counted(params):
    """Those that Snakemake compares; what `uncounted` has wrapped takes inputs."""
    return {
        key: value
        for key, value in params.items()
        if not callable(value) or "input" not in inspect.signature(value).parameters
    }


def _expression(pattern, constraints):
    """Regular expression of a pattern with wildcards; one that comes again is the same text."""
    seen, parts = set(), []
    for text, name in re.findall(r"([^{]*)(?:\{(\w+)\})?", pattern):
        parts.append(re.escape(text))
        if name:
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{constraints.get(name, '.+')})")
            seen.add(name)
    return "".join(parts)
