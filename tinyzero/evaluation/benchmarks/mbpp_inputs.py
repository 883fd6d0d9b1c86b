"""The argument types of MBPP+, which JSON lost: tuples, sets and complex numbers. Facts of evalplus 0.3.1."""

from collections.abc import Callable, Mapping
from typing import Any

_Convert = Callable[[list[Any]], list[Any]]
"""From the arguments as JSON has them to the arguments of a call."""


def typed_arguments(task_id: str, arguments: list[Any]) -> list[Any]:
    """The arguments of a call with their types."""
    return _CONVERTERS.get(int(task_id.partition("/")[2]), list)(arguments)


def _tuples(arguments: list[Any]) -> list[Any]:
    return [tuple(argument) for argument in arguments]


def _lists_of_tuples(arguments: list[Any]) -> list[Any]:
    return [[tuple(item) for item in argument] for argument in arguments]


def _tuples_of_tuples(arguments: list[Any]) -> list[Any]:
    return [tuple(tuple(item) for item in argument) for argument in arguments]


def _first_is_list_of_tuples(arguments: list[Any]) -> list[Any]:
    return [[tuple(item) for item in arguments[0]], *arguments[1:]]


def _first_is_tuple(arguments: list[Any]) -> list[Any]:
    return [tuple(arguments[0]), *arguments[1:]]


def _second_is_tuple(arguments: list[Any]) -> list[Any]:
    return [arguments[0], tuple(arguments[1])]


def _sets(arguments: list[Any]) -> list[Any]:
    return [[set(item) if isinstance(item, list) and item else {} for item in arguments[0]]]


def _float_and_complex(arguments: list[Any]) -> list[Any]:
    return [float(arguments[0]), complex(arguments[1])]


def _complex(arguments: list[Any]) -> list[Any]:
    return [complex(arguments[0])]


def _tuples_with_tuples(arguments: list[Any]) -> list[Any]:
    return [tuple(tuple(item) if isinstance(item, list) else item for item in arguments[0])]


def _dict_of_tuples(arguments: list[Any]) -> list[Any]:
    return [{key: tuple(value) for key, value in arguments[0].items()}, *arguments[1:]]


def _all_lists_are_tuples(arguments: list[Any]) -> list[Any]:
    def converted(value: Any) -> Any:  # noqa: ANN401
        return tuple(map(converted, value)) if isinstance(value, list) else value

    return [converted(argument) for argument in arguments]


_TABLE: Mapping[_Convert, str] = {
    _tuples: "2 116 132 143 222 261 273 394 399 421 424 429 470 560 579 596 616 630 726 740 744 809",
    _lists_of_tuples: "63 64 70 94 120 237 272 299 400 409 417 438 473 614 780",
    _first_is_list_of_tuples: "75 413 444 753",
    _second_is_tuple: "106 750",
    _sets: "115",
    _float_and_complex: "124",
    _first_is_tuple: "250 307 405 446 617 720 763 808",
    _tuples_of_tuples: "259 401 445",
    _complex: "252",
    _tuples_with_tuples: "278",
    _dict_of_tuples: "722",
    _all_lists_are_tuples: "580 615 791",
}
_CONVERTERS: Mapping[int, _Convert] = {
    int(number): convert for convert, numbers in _TABLE.items() for number in numbers.split()
}
