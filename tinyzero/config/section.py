"""The base class of all sections of the configuration."""

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    """Base of all sections: immutable, and a misspelt key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _read_none(cls, values: Any) -> Any:  # noqa: ANN401  whatever a file holds
        """Read `"none"` as None for knobs that allow it, since TOML has no null."""
        if not isinstance(values, dict):
            return values
        return {
            key: None if value == "none" and cls._may_be_none(key) else value for key, value in values.items()
        }

    @classmethod
    def _may_be_none(cls, key: str) -> bool:
        return key in cls.model_fields and type(None) in get_args(cls.model_fields[key].annotation)
