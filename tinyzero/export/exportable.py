"""Whether what a run learns could be exported, asked before it learns anything, of the code that exports."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from tinyzero.config import Config, resolve_base
from tinyzero.errors import ExportError
from tinyzero.export.adapters import read_adapter
from tinyzero.export.base import refuse_outside_links, root_of
from tinyzero.export.folders import choose_adapters
from tinyzero.export.merge import as_stored, check_fit
from tinyzero.export.weights import open_weights


def check_exportable(config: Config, save: Callable[[Path], object]) -> None:
    """Read a run's adapters as an export would, and hold them against the base model's files.

    Args:
        save: writes the adapters, untrained ones as well, into a folder.

    Raises:
        ExportError: an export would be refused.
    """
    from tinyzero.policy.base_files import folder_of

    base, _ = folder_of(resolve_base(config.model.base), config.model.revision)
    with TemporaryDirectory() as name:
        folder = Path(name)
        save(folder)
        try:
            for adapter in choose_adapters(config, None):
                _check(folder / adapter, base)
        except ExportError as error:
            reason = str(error).replace(f"{folder}/", "")
            raise ExportError(
                f"a run of {config.model.base} could not be exported, so it does not begin: "
                f"{reason}; docs/models.md says which models can"
            ) from error


def _check(adapter_folder: Path, base: Path | None) -> None:
    adapter = read_adapter(adapter_folder)
    if base is None:
        return
    refuse_outside_links(base, root_of(base))
    with open_weights(base) as weights:
        check_fit(weights, as_stored(adapter, weights), base)
