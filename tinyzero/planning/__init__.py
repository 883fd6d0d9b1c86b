"""What a run will cost before it is started: memory, time and disk, from the model's shape alone."""

from tinyzero.planning.memory import MemoryPlan, plan
from tinyzero.planning.shapes import ModelShape, known_shapes, shape_of

__all__ = ["MemoryPlan", "ModelShape", "known_shapes", "plan", "shape_of"]
