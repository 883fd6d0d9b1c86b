from made import task

from tinyzero.run.lines import tasks_of
from tinyzero.watch.report.page import best_tasks, odd_tasks

TASKS = tasks_of(
    [
        task(1, name="easy", rate=1.0, shape="a"),
        task(1, name="never", rate=0.0, shape="b"),
        task(1, name="half", rate=0.5, shape="c"),
        task(1, name="hard", rate=0.125, shape="d"),
        task(
            1, name="hard and longer", rate=0.125, shape="e", program="def f(a):\n    return sorted(a)[::-1]"
        ),
        task(1, name="hard again", rate=0.25, shape="d"),
        task(1, name="untried", rate=None, shape="a"),
    ]
)


def test_the_best_are_solved_but_seldom_and_of_different_shapes():
    assert [one.id for one in best_tasks(TASKS, 9)] == ["hard and longer", "hard", "half"]
    assert [one.id for one in best_tasks(TASKS, 1)] == ["hard and longer"]
    assert best_tasks([], 3) == []


def test_the_oddest_have_the_rarest_shapes():
    assert odd_tasks(TASKS, 1)[0].id == "hard and longer"
    assert {one.shape for one in odd_tasks(TASKS, 3)} == {"b", "c", "e"}
