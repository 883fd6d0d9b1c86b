"""What can go wrong on the user's side of the fence, named by the boundary it crossed.

    TinyZeroError            one line, no traceback, exit code 2
    ├── ConfigError          a key, a value or a combination of values
    │   └── PresetNotFound   no preset or file of that name
    ├── ModelLoadError       the base model, its tokenizer or its folder
    ├── HardwareError        this machine cannot run that preset
    │   ├── OutOfMemory      the device ran out although the smallest batch was tried
    │   └── SamplerBroken    the sampler's probabilities are not those of the policy
    ├── ExecutorBroken       the sandbox itself, never the program in it
    ├── ComparerBroken       the process that compares answers, never the answers in it
    ├── NotFinite            a reward, a loss, a gradient or a weight is NaN, infinite or absurd
    ├── RankLost             another process of the run has ended
    ├── RanksDiffer          processes of the run do not compute the same
    ├── CheckpointError      a run folder or checkpoint that cannot be read or written
    │   └── FolderLost       the run's folder was deleted, moved or replaced while it trained
    ├── ExportError          what a run learned cannot be made into files that others open
    │   └── SelfTestFailed   the files are not what was trained; exit code 1
    └── HubError             the Hugging Face Hub

The model's mistakes are no exceptions: they are a `Rejection` or a `Verdict`. Our own crash with a traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class TinyZeroError(Exception):
    """Base of all errors that a person can act on; the message says what happened and what to do."""


class ConfigError(TinyZeroError):
    """A configuration key, value or combination that cannot work."""


class PresetNotFound(ConfigError):
    """No preset has this name, and no file is there."""


class ModelLoadError(TinyZeroError):
    """The base model or its tokenizer could not be loaded."""


class HardwareError(TinyZeroError):
    """This machine cannot run what was asked for."""


class OutOfMemory(HardwareError):
    """The device ran out of memory although the smallest batch was tried."""


class SamplerBroken(HardwareError):
    """The sampler answers, but not as the policy that is trained."""


class ExecutorBroken(TinyZeroError):
    """The sandbox cannot do its work; never a fault of the program inside it."""


class ComparerBroken(TinyZeroError):
    """Answers cannot be compared; never a fault of the answers."""


class NotFinite(TinyZeroError):
    """A reward, a loss, a gradient or a weight is NaN, infinite or absurdly large."""


class RankLost(TinyZeroError):
    """Another process of the run has ended, or cannot be reached."""


class RanksDiffer(TinyZeroError):
    """The processes of a run no longer hold the same state."""


class CheckpointError(TinyZeroError):
    """A run folder or a checkpoint cannot be read or written."""


class FolderLost(CheckpointError):
    """The folder of a run in progress is no longer there, or another is in its place."""


class ExportError(TinyZeroError):
    """An adapter, a base model or a folder cannot be exported as it is."""


class SelfTestFailed(ExportError):
    """An export was tried out and is not what was trained; nothing of it is left."""


class HubError(TinyZeroError):
    """The Hugging Face Hub refused or could not be reached."""


def nearest(word: str, candidates: Iterable[str]) -> str:
    """A ready-made `; did you mean X?`, or nothing where no candidate is close."""
    matches = get_close_matches(word, list(candidates), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]}?" if matches else ""
