"""What a run will cost before it is started, from the model's shape alone; and what auto comes to."""

from tinyzero.planning.cards import Card, card_of, cards, find_card
from tinyzero.planning.disk import DiskPlan, disk_plan
from tinyzero.planning.fitting import MARGIN
from tinyzero.planning.machine import Gpu, Machine
from tinyzero.planning.memory import MemoryPlan, plan
from tinyzero.planning.settling import decisions, settle, settle_recorded
from tinyzero.planning.shapes import ModelShape, known_shapes, shape_of
from tinyzero.planning.timing import StepTime, step_time
from tinyzero.planning.workload import FILLED_SHARE, VALID_SHARE, Workload, workload

__all__ = [
    "FILLED_SHARE",
    "MARGIN",
    "VALID_SHARE",
    "Card",
    "DiskPlan",
    "Gpu",
    "Machine",
    "MemoryPlan",
    "ModelShape",
    "StepTime",
    "Workload",
    "card_of",
    "cards",
    "decisions",
    "disk_plan",
    "find_card",
    "known_shapes",
    "plan",
    "settle",
    "settle_recorded",
    "shape_of",
    "step_time",
    "workload",
]
