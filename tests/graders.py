"""Graders that a test can put in place of math-verify's: one that runs an answer as code, and broken ones."""

RUNS_CODE = """
import socket

def warm_up():
    pass

def same(first, second):
    scope = {"socket": socket}
    exec(second, scope)
    return scope["same"]
"""

CANNOT_WARM_UP = """
def warm_up():
    raise RuntimeError("no mathematics today")
"""

CANNOT_FORK = """
def warm_up():
    import os
    def fork():
        raise BlockingIOError("no processes left")
    os.fork = fork
"""

ENDS_AFTER_SOME_FORKS = """
def warm_up():
    import os
    fork, forks = os.fork, iter(range(5))
    os.fork = lambda: fork() if next(forks, None) is not None else os._exit(3)

def same(first, second):
    return True
"""

ENDS_BEFORE_THE_FIRST_ANSWER = """
def warm_up():
    import os, select
    os.pipe, pipe = None, os.pipe
    made = []
    def once():
        if made:
            os._exit(3)
        made.append(1)
        return pipe()
    os.pipe = once  # the nursery's own, and then one for each child
"""
