"""Several `vllm serve`: samples go to whichever is free; a server that is lost is left out for a while."""

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tinyzero.errors import SamplerBroken
from tinyzero.sampling.vllm.address import Unreachable
from tinyzero.sampling.vllm.engine import Drawn, HandedOver, SampleSpec
from tinyzero.sampling.vllm.server import ServerEngine

_TRY_AGAIN_S = 60.0
"""Seconds after which a server that was left out is looked for again."""

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Server:
    """One of the servers.

    Attributes:
        engine: None while it is left out. lost_at: by the clock, when it was last looked for in vain.
    """

    url: str
    engine: ServerEngine | None = None
    lost_at: float = 0.0


class ServerFleet:
    """A `VllmEngine` over several servers with the same base model.

    Every sample has a seed of its own, and is the same wherever it is drawn, up to rounding of unlike cards.
    """

    def __init__(
        self,
        urls: Sequence[str],
        open_at: Callable[[str], ServerEngine],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look at all servers; those that do not answer may come later.

        Args:
            open_at: looks at the server of an address.

        Raises:
            SamplerBroken: none answers, or one that does cannot serve this run.
        """
        self._open_at, self._clock = open_at, clock
        self._adapters: dict[str, HandedOver] = {}
        self._servers = [_Server(url) for url in urls]
        self._why: SamplerBroken | None = None
        for server in self._servers:
            try:
                server.engine = open_at(server.url)
            except SamplerBroken as error:
                if not isinstance(error.__cause__, Unreachable):
                    raise
                self._leave_out(server, error)
        self.context_tokens = min(engine.context_tokens for engine in self._engines().values())

    @property
    def restart(self) -> str:
        """How to start a server that fits."""
        return next(iter(self._engines().values())).restart

    def load(self, adapter: HandedOver) -> None:
        """See `VllmEngine`. Servers that come back are told of it then."""
        self._look_for_lost()
        self._adapters[adapter.name] = adapter
        self._tell_all(lambda engine: engine.load(adapter))

    def unload(self, adapter: HandedOver) -> None:
        """See `VllmEngine`."""
        self._adapters.pop(adapter.name, None)
        for engine in self._engines().values():
            try:
                engine.unload(adapter)
            except SamplerBroken as error:
                _logger.warning("a vLLM keeps the adapter %s: %s", adapter.name, error)

    def generate(
        self,
        specs: Sequence[SampleSpec],
        *,
        adapter: HandedOver | None,
        temperature: float,
        stop_ids: Collection[int],
    ) -> list[Drawn]:
        """See `VllmEngine`. What a lost server was asked for is asked of the others."""
        self._look_for_lost()
        todo, drawn = deque(range(len(specs))), dict[int, Drawn]()

        def work(engine: ServerEngine) -> None:
            while todo:
                try:
                    place = todo.popleft()
                except IndexError:  # another thread was quicker
                    return
                try:
                    (drawn[place],) = engine.generate(
                        [specs[place]], adapter=adapter, temperature=temperature, stop_ids=stop_ids
                    )
                except SamplerBroken:
                    todo.append(place)
                    raise

        try:
            while len(drawn) < len(specs):
                self._drain(work, len(specs) - len(drawn))
        except BaseException:
            todo.clear()  # threads that are at work find nothing more
            raise
        return [drawn[place] for place in range(len(specs))]

    def sleep(self) -> None:
        """The servers' cards are their own business."""

    def close(self) -> None:
        """The servers go on."""

    def _drain(self, work: Callable[[ServerEngine], None], num_left: int) -> None:
        """Let all servers work until nothing is left, or they are lost. Raises SamplerBroken if all are."""
        engines = self._engines()
        num_threads = sum(min(engine.at_once, num_left) for engine in engines.values())
        with ThreadPoolExecutor(num_threads, "vllm-request") as threads:
            waiting = [
                (url, threads.submit(work, engine))
                for url, engine in engines.items()
                for _ in range(min(engine.at_once, num_left))
            ]
        for url, done in waiting:
            error = done.exception()
            if isinstance(error, SamplerBroken):
                self._leave_out(self._server(url), error)
            elif error is not None:
                raise error

    def _tell_all(self, tell: Callable[[ServerEngine], None]) -> None:
        for url, engine in self._engines().items():
            try:
                tell(engine)
            except SamplerBroken as error:
                self._leave_out(self._server(url), error)
        self._engines()  # one at least is left

    def _look_for_lost(self) -> None:
        """Take servers back that answer again, with the adapters that the others have."""
        for server in self._servers:
            if server.engine is not None or self._clock() - server.lost_at < _TRY_AGAIN_S:
                continue
            try:
                engine = self._open_at(server.url)
                for adapter in self._adapters.values():
                    engine.load(adapter)
            except SamplerBroken:
                server.lost_at = self._clock()
            else:
                server.engine = engine
                _logger.warning("the vLLM at %s is back", server.url)

    def _leave_out(self, server: _Server, error: SamplerBroken) -> None:
        if server.engine is not None or self._why is None:
            _logger.warning("goes on without the vLLM at %s: %s", server.url, error)
        server.engine, server.lost_at, self._why = None, self._clock(), error

    def _engines(self) -> Mapping[str, ServerEngine]:
        """The servers that are there. Raises SamplerBroken if none is."""
        engines = {server.url: server.engine for server in self._servers if server.engine is not None}
        if not engines:
            raise SamplerBroken(f"no vLLM is left, the last one since {self._why}") from self._why
        return engines

    def _server(self, url: str) -> _Server:
        return next(server for server in self._servers if server.url == url)
