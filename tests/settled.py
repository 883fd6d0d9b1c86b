"""Settled configurations, as everything below the command line gets them."""

from tinyzero.config import Config, load_config
from tinyzero.machine.hardware import Gpu, Machine
from tinyzero.machine.settling import settle

CPU = Machine(memory_gib=16)
CARD = Machine(memory_gib=64, gpu=Gpu(name="a card", memory_gib=23.5), has_driver=True)


def settled(preset, overrides=(), machine=CPU):
    """A preset as `train` would play it on a machine."""
    return settle(load_config(preset, overrides), machine)


def defaults(machine=CPU, **sections):
    """The default values, and some others, on a machine."""
    return settle(Config.model_validate(sections), machine)


def model_section(machine=CPU, **values):
    return defaults(machine, model=values).model


def learner_section(machine=CPU, **values):
    return defaults(machine, learner=values).learner
