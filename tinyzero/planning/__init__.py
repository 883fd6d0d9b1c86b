"""What a run will cost before it is started: memory, time and disk, from the model's shape alone."""

from tinyzero.planning.cards import Card, card_of, cards, find_card
from tinyzero.planning.disk import DiskPlan, disk_plan
from tinyzero.planning.fitting import MARGIN, fitted, is_open
from tinyzero.planning.memory import Device, MemoryPlan, plan
from tinyzero.planning.shapes import ModelShape, known_shapes, shape_of
from tinyzero.planning.timing import StepTime, step_time
from tinyzero.planning.workload import FILLED_SHARE, VALID_SHARE, Workload, workload

__all__ = [
    "FILLED_SHARE",
    "MARGIN",
    "VALID_SHARE",
    "Card",
    "Device",
    "DiskPlan",
    "MemoryPlan",
    "ModelShape",
    "StepTime",
    "Workload",
    "card_of",
    "cards",
    "disk_plan",
    "find_card",
    "fitted",
    "is_open",
    "known_shapes",
    "plan",
    "shape_of",
    "step_time",
    "workload",
]
