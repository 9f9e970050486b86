"""A value against the type that a signature declares: made to fit where nothing is lost, else refused in a sentence."""

import inspect
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from ganctl.errors import UserError


def is_node(value: Any) -> bool:
    """Whether a value is something to build."""
    return isinstance(value, dict) and "_target_" in value


def conform(path: str, value: Any, hint: Any) -> Any:
    """The value in the type of the hint, or a sentence naming the type that was expected."""
    try:
        return _conform(value, hint)
    except TypeError:
        if isinstance(value, dict):
            raise UserError(f"{path}: names nothing to build\n  try: a line `_target_: module.Class`") from None
        shown = f"'{value}'" if isinstance(value, str) else value
        raise UserError(f"{path}={shown}: {_words(hint)} expected\n  try: {path}={_example(hint)}") from None


def _conform(value: Any, hint: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any or isinstance(hint, typing.TypeVar) or is_node(value):
        return value
    if origin in (Union, types.UnionType):
        return _conform_union(value, args)
    if origin is Literal:
        return _require(value in args, value)
    if hint is None or hint is type(None):
        return _require(value is None, value)
    if hint is bool:
        return _require(isinstance(value, bool), value)
    if hint in (int, float):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        _require(number and (hint is float or float(value).is_integer()), value)
        return hint(value)
    if hint is str:
        return str(_require(isinstance(value, (str, int)) and not isinstance(value, bool), value))
    inner = origin or hint
    if inspect.isclass(inner) and issubclass(inner, Mapping):
        return _require(isinstance(value, dict), value)
    if inspect.isclass(inner) and issubclass(inner, Iterable):
        _require(isinstance(value, list), value)
        if inner is tuple and Ellipsis not in args:
            _require(len(value) == len(args), value)
        return [_conform(item, args[0]) for item in value] if args else value
    _require(inspect.isclass(inner) and isinstance(value, inner), value)
    return value


def _conform_union(value: Any, arms: tuple[Any, ...]) -> Any:
    """The arm that takes the value as it is, else the first that can take it."""
    results = []
    for arm in arms:
        try:
            results.append(_conform(value, arm))
        except TypeError:
            continue
    if not results:
        raise TypeError
    return next((result for result in results if type(result) is type(value)), results[0])


def _require(fine: bool, value: Any) -> Any:
    if not fine:
        raise TypeError
    return value


def _words(hint: Any) -> str:
    """A type in the words of a person: `int | None` -> "int or null"."""
    args = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_words(arm) for arm in args if getattr(arm, "__name__", "") != "Tensor")
    if get_origin(hint) is Literal:
        return " | ".join(map(str, args))
    if hint is type(None):
        return "null"
    if args:
        return f"{get_origin(hint).__name__} of {_words(args[0])}"
    return str(getattr(hint, "__name__", hint))


def _example(hint: Any) -> str:
    """A value of the type, as a person writes it."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return str(args[0])
    if origin in (Union, types.UnionType):
        return _example(args[0])
    if args:
        items = args if origin is tuple else args[:1]
        return f"[{','.join(_example(arm) for arm in items if arm is not Ellipsis)}]"
    return {bool: "true", int: "1", float: "0.5", str: "text"}.get(hint, "VALUE")
