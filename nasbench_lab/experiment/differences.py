"""What tells the JSON forms of two experiments apart, in words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


def differences(there: Any, here: Any) -> list[str]:
    """What differs between two experiments, in words."""
    return list(_differences(_plain(there), _plain(here), ""))


def code_differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """What differs between the checksums of two versions of an algorithm's files, in words."""
    texts = []
    for file in {**old, **new}:
        if file not in new or file not in old:
            texts.append(f"{file} is only {'there' if file in old else 'here'}")
        elif old[file] != new[file]:
            texts.append(f"{file} has changed")
    return texts


def _plain(experiment: Any) -> Any:
    """An experiment as JSON reads it, without what is not given, or says only where a file lies."""
    read = json.loads(json.dumps(experiment, default=np.generic.item))
    for entry in read.get("algorithms", ()) if isinstance(read, dict) else ():
        file = entry.pop("file", None) or entry["name"]
        if "sha256" in entry:  # the main file's alone, in a result of an earlier version
            entry["code"] = {re.split(r"[\\/]", file)[-1]: entry.pop("sha256")}
    for entry in read.get("benchmarks", ()) if isinstance(read, dict) else ():
        entry.setdefault("missing", "fail")  # as in results of earlier versions
        (entry.get("program") or {}).pop("file", None)
    start = read.get("warm_start") if isinstance(read, dict) else None
    for entry in (start or {}).get("history", ()):
        if entry.pop("file", None) is not None:
            del entry["name"]  # a folder's, which may be called differently
    return _given(read)


def _given(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _given(one) for key, one in value.items() if one is not None}
    return [_given(one) for one in value] if isinstance(value, list) else value


def _differences(there: Any, here: Any, place: str) -> Iterator[str]:
    if there == here:
        return
    if isinstance(there, dict) and isinstance(here, dict):
        for key in {**there, **here}:
            if key == "code":
                changed = code_differences(there.get(key, {}), here.get(key, {}))
                yield from (f"{place}: {one}" for one in changed)
                continue
            inner = f"{place} {key}".strip()
            yield from _differences(there.get(key), here.get(key), inner)
    elif _named(there) and _named(here):
        by_name = [{entry["name"]: entry for entry in some} for some in (there, here)]
        yield from _only(list(by_name[0]), list(by_name[1]), place)
        for name in by_name[0]:
            if name in by_name[1]:
                yield from _differences(by_name[0][name], by_name[1][name], f"{place} {name}")
    elif _short(there) == _short(here):  # long lists of equal ends
        yield from _only(there, here, place)
    elif _is_checksum(there) and _is_checksum(here):
        yield f"{place.removesuffix(' table').removesuffix(' sha256')} has changed"
    else:
        yield f"{place} {_short(there)} there, {_short(here)} here"


def _is_checksum(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _only(there: list[Any], here: list[Any], place: str) -> Iterator[str]:
    for which, one, other in (("only there", there, here), ("only here", here, there)):
        if missing := [str(value) for value in one if value not in other]:
            yield f"{place} {which}: {', '.join(missing)}"
    if there != here and sorted(map(str, there)) == sorted(map(str, here)):
        yield f"{place} in another order"


def _named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, dict) and "name" in v for v in value)


def _short(value: Any) -> str:
    if value is None:
        return "not given"
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, list) and len(text) > 60 and len(value) > 2:
        return f"{len(value)} values from {value[0]} to {value[-1]}"
    return text
