"""Settings whose value is a name: the package's own names, and those that a plugin has registered."""

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

NAMES: dict[str, list[str]] = {
    "selfplay.game": ["absolute-zero", "r-zero"],
    "rewards.proposer": ["learnability", "uncertainty", "variance"],
    "advantages.estimator": ["task-relative", "group", "leave-one-out"],
    "sampling.engine": ["builtin", "vllm"],
}
"""Setting -> the names that it takes now."""


@dataclass(frozen=True, slots=True)
class Named:
    """Annotates a `str` that must be a name of `NAMES[key]`."""

    key: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The package's names, or any text: an editor knows no plugin."""
        return {"anyOf": [{"enum": list(NAMES[self.key])}, {"type": "string"}]}

    def _check(self, name: str) -> str:
        names = NAMES[self.key]
        if name not in names:
            *others, last = (repr(known) for known in names)
            expected = f"{', '.join(others)} or {last}"
            raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})
        return name
