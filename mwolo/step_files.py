"""Step files: a story on phones, written as YAML, read into plain values. How they are played: `mwolo.step_run`.

    story: Everything that is due, in three keys
    people:
      caller: {phone: "+243815550001", account: "1000000018"}
    steps:
      - dial: "*123#"
        expect: {contains: ["FC", "1. Payer"], septets: 160}
      - reply: 1
      - hang up: caller
      - wait for sms: {contains: "{caller.account}"}

Every value is text, as written: `1` is a key and `no` a word. `{caller.phone}` and the like are filled in when played.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from core.kernel.errors import ServiceError

CODE = "*123#"
_STEPS = ("dial", "reply", "again", "hang up", "enter pin", "wait for sms")
_EXPECT = ("contains", "lacks", "equals", "septets", "ended")
_TRUTH = {"yes": True, "true": True, "no": False, "false": False}
# An SMS leaves after a payment has settled: the push waits 3 s, an operator asks its customer meanwhile.
_SMS_WITHIN_S = 30


class WrongStepFile(ServiceError):
    """The file cannot be understood; the sentence says where and why."""


class _Texts(yaml.BaseLoader):
    """08 stays 08, and no tag makes an object. A name twice in one place is a mistake: the second would win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [key.value for key, _value in node.value]
        twice = sorted({str(name) for name in names if names.count(name) > 1})
        if twice:
            raise WrongStepFile(f"line {node.start_mark.line + 1}: {', '.join(twice)} stands there twice")
        return super().construct_mapping(node, deep)


@dataclass(frozen=True, slots=True)
class Expect:
    """What a screen or a text must be. `septets`: at most so many, `CON ` and `END ` not counted."""

    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    equals: str | None = None
    septets: int | None = None
    ended: bool | None = None


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step. `kind`: one of the words of the file. `value`: what is dialled or typed. `by`: whose phone."""

    number: int
    kind: str
    by: str
    value: str = ""
    expect: Expect = field(default_factory=Expect)
    within_s: int = 0


@dataclass(frozen=True, slots=True)
class Story:
    """`people`: role → what is known of them (`phone` at least). `code`: the short code that dials begin with.
    `casting`: role → a dial that must go as written before somebody else may play it."""

    name: str
    people: Mapping[str, Mapping[str, str]]
    steps: tuple[StepLine, ...]
    code: str = CODE
    casting: Mapping[str, StepLine] = field(default_factory=dict)


def read(path: Path) -> Story:
    """Raises WrongStepFile."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongStepFile(f"{path} cannot be read: {error}") from None
    try:
        return parse(text)
    except WrongStepFile as error:
        raise WrongStepFile(f"{path}: {error}") from None


def parse(text: str) -> Story:
    """Raises WrongStepFile."""
    try:
        said = yaml.load(text, Loader=_Texts)  # noqa: S506 - makes texts, lists and mappings and nothing else
    except yaml.YAMLError as error:
        raise WrongStepFile(" ".join(str(error).split())) from None
    whole = _mapping(said, "the file", ("story", "people", "casting", "steps", "code", "septets"))
    name, code = _text(whole, "story", "the file"), str(whole.get("code", CODE))
    people = _people(whole.get("people"))
    listed = whole.get("steps")
    if not isinstance(listed, list) or not listed:
        raise WrongStepFile("steps is empty")
    septets = _number(whole["septets"], "septets") if "septets" in whole else None
    steps = tuple(_step(n, one, people, septets, code) for n, one in enumerate(listed, start=1))
    return Story(name, people, steps, code, _casting(whole.get("casting", {}), people, code))


def _people(said: object) -> dict[str, dict[str, str]]:
    if not isinstance(said, dict) or not said:
        raise WrongStepFile("people is empty")
    people: dict[str, dict[str, str]] = {}
    for role, about in said.items():
        known = {"phone": about} if isinstance(about, str) else about
        if not isinstance(known, dict) or not isinstance(known.get("phone"), str):
            raise WrongStepFile(f"people, {role}: the phone is missing")
        people[str(role)] = {str(k): str(v) for k, v in known.items()}
    return people


def _casting(said: object, people: Mapping[str, object], code: str) -> dict[str, StepLine]:
    tests: dict[str, StepLine] = {}
    for role, test in _mapping(said, "casting", tuple(people)).items():
        asked = _mapping(test, f"casting, {role}", ("dial", "expect"))
        tests[role] = replace(_step(0, asked, people, None, code), by=role)
    return tests


def _step(number: int, said: object, people: Mapping[str, object], septets: int | None, code: str) -> StepLine:
    where = f"step {number}"
    step = _mapping(said, where, (*_STEPS, "by", "expect"))
    kinds = [kind for kind in _STEPS if kind in step]
    if len(kinds) != 1:
        raise WrongStepFile(f"{where}: one of {', '.join(_STEPS)} is needed")
    kind, value = kinds[0], step[kinds[0]]
    if kind == "wait for sms":
        about = _mapping(value, where, ("to", "within_s", *_EXPECT))
        by = str(about.get("to", next(iter(people))))
        within = _number(about.get("within_s", str(_SMS_WITHIN_S)), where)
        line = StepLine(number, kind, by, "", _expect(about, where, None), within)
    else:
        if not isinstance(value, str):
            raise WrongStepFile(f"{where}: {kind} takes one value")
        # `hang up: caller` and `again: caller` read better than a phone in a line of its own.
        named = value if kind in ("hang up", "again") else ""
        by = named or str(step.get("by", next(iter(people))))
        if kind == "dial":
            carried_by(value, code, where)
        expect = _expect(_expected(step.get("expect", {}), where), where, septets)
        line = StepLine(number, kind, by, "" if named else value, expect)
    if line.by not in people:
        raise WrongStepFile(f"{where}: nobody is called {line.by}")
    return line


def carried_by(dialled: str, code: str, where: str = "") -> str:
    """What a dial carries: `8*5000` of `*123*8*5000#`, nothing of `*123#`. Raises WrongStepFile."""
    root = code.removesuffix("#")
    if dialled == code:
        return ""
    if not dialled.startswith(f"{root}*") or not dialled.endswith("#"):
        raise WrongStepFile(f"{where}: {dialled} does not begin with {root} and end with #")
    return dialled[len(root) + 1 : -1]


def _expected(said: object, where: str) -> Mapping[str, Any]:
    """`expect` in full, or only what the screen contains."""
    if isinstance(said, (str, list)):
        return {"contains": said}
    return _mapping(said, f"{where}, expect", _EXPECT)


def _expect(said: Mapping[str, Any], where: str, septets: int | None) -> Expect:
    if "septets" in said:
        septets = _number(said["septets"], where)
    ended = said.get("ended")
    if ended is not None and str(ended).lower() not in _TRUTH:
        raise WrongStepFile(f"{where}: ended is yes or no")
    return Expect(
        contains=_texts(said.get("contains", [])),
        lacks=_texts(said.get("lacks", [])),
        # A block of text ends with a line break in YAML, and a screen never does.
        equals=str(said["equals"]).rstrip("\n") if "equals" in said else None,
        septets=septets,
        ended=None if ended is None else _TRUTH[str(ended).lower()],
    )


def _texts(said: object) -> tuple[str, ...]:
    return tuple(map(str, said)) if isinstance(said, list) else (str(said),)


def _mapping(said: object, where: str, known: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(said, dict):
        raise WrongStepFile(f"{where}: names and values are needed")
    for name in said:
        if name not in known:
            raise WrongStepFile(f"{where}: {name} is not known; known are {', '.join(known)}")
    return said


def _text(said: Mapping[str, Any], name: str, where: str) -> str:
    if not isinstance(said.get(name), str):
        raise WrongStepFile(f"{where}: {name} is missing")
    return str(said[name])


def _number(said: object, where: str) -> int:
    if not isinstance(said, str) or not said.isdecimal():
        raise WrongStepFile(f"{where}: {said} is no number")
    return int(said)
