"""Hands adapters over to an engine: a folder and a number for every state of the weights that is sampled."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinyzero.errors import SamplerBroken
from tinyzero.sampling.vllm.engine import HandedOver, VllmEngine

if TYPE_CHECKING:
    from tinyzero.policy.policy import Policy

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served:
    """An adapter, and the state of the policy that it is: loads of saved weights, and updates."""

    state: tuple[int, int]
    adapter: HandedOver


class Handover:
    """The adapters that an engine serves, at most one of each name of the policy.

    The engine tells adapters apart by number and name, and keeps keys and values by name and folder. So what
    has changed gets all three anew, and the old one is forgotten and removed.
    """

    def __init__(self, policy: "Policy", engine: VllmEngine, folder: Path, *, mark: str) -> None:
        """Nothing is handed over yet.

        Args:
            folder: exists, and holds nothing else.
            mark: begins the names; different for all that may ask one server.
        """
        self._policy, self._engine, self._folder, self._mark = policy, engine, folder, mark
        self._served: dict[str, _Served] = {}
        self._count = 0

    def current(self, adapter: str) -> HandedOver | None:
        """The adapter with its weights as they are now; None where the name is empty, which is the base.

        Raises:
            SamplerBroken: the engine does not take it, or the folder cannot be written.
        """
        if not adapter:
            return None
        state = (self._policy.loads, self._policy.versions[adapter])
        served = self._served.get(adapter)
        if served is None or served.state != state:
            self._served[adapter] = _Served(state=state, adapter=self._hand_over(adapter))
            if served is not None:
                self._forget(served.adapter)
        return self._served[adapter].adapter

    def close(self) -> None:
        """Forget all, and remove the folder."""
        for served in self._served.values():
            self._forget(served.adapter)
        self._served = {}
        shutil.rmtree(self._folder, ignore_errors=True)

    def _hand_over(self, adapter: str) -> HandedOver:
        self._count += 1
        aside = self._folder / f"{self._count:06d}"
        try:
            folder = self._policy.save_adapter(adapter, aside)
        except OSError as error:
            raise SamplerBroken(
                f"cannot write an adapter into {self._folder} ({error.strerror or error}); make room, or "
                "name another folder as sampling.server_adapters"
            ) from error
        made = HandedOver(name=f"{self._mark}-{adapter}-{self._count}", number=self._count, folder=folder)
        try:
            self._engine.load(made)
        except SamplerBroken:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        return made

    def _forget(self, adapter: HandedOver) -> None:
        """An engine that cannot forget does no harm: it drops what no one asks for when it needs the room."""
        try:
            self._engine.unload(adapter)
        except SamplerBroken as error:
            _logger.warning("vLLM keeps the adapter %s: %s", adapter.name, error)
        shutil.rmtree(adapter.folder.parent, ignore_errors=True)
