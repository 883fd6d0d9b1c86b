"""The before/after table of a run, `evaluation.json`, as far as it is there and makes sense."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from tinyzero.errors import ExportError

FILE = "evaluation.json"
_MAX_BYTES = 1 << 20

_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _./+-]*$", max_length=60)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Difference = Annotated[float, Field(ge=-1, le=1)]


class Row(BaseModel):
    """One line: solve rates before and after training on the same tasks.

    `low` and `high` bound the 95 % paired interval of the difference.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    name: _Name
    decoding: Literal["sampled", "greedy"]
    tasks: int = Field(ge=1)
    before: _Share
    after: _Share
    difference: _Difference
    low: _Difference
    high: _Difference

    @model_validator(mode="after")
    def _check_order(self) -> "Row":
        if not self.low <= self.high:
            raise ValueError(f"the interval of {self.name} ends before it begins")
        return self

    @property
    def is_distinguishable(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


class Evaluation(BaseModel):
    """The whole table.

    `set` names the tasks, `attempts` counts the answers sampled per task, `step` is the checkpoint's.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    set: _Name
    attempts: int = Field(ge=1)
    step: int = Field(ge=0)
    rows: tuple[Row, ...] = Field(min_length=1, max_length=1000)


def read_evaluation(run: Path) -> Evaluation | None:
    """What a run measured; None where it measured nothing.

    Raises:
        ExportError: the file is there and is not such a table.
    """
    path = run / FILE
    if not path.exists():
        return None
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ExportError(f"{path} is larger than any table of results; remove it, or evaluate again")
        return Evaluation.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ExportError(
            f"{path} is no table of results: {where}: {first['msg']}; evaluate again"
        ) from error
