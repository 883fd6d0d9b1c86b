from tinyzero.tasks.similarity import cyclomatic_complexity, distance, novelty, skeleton

ADD = "def f(a, b):\n    return a + b"
RENAMED = "def f(x, y):\n    return x + y"
TIMES = "def f(a, b):\n    return a * b"
SUM = "def f(a, b):\n    return sum([a, b])"


def test_a_skeleton_keeps_what_a_program_does_and_forgets_its_own_names_and_constants():
    words = skeleton("def f(a):\n    return len(a.strip()) + 3")
    assert words == (
        "FunctionDef", "arguments", "arg", "Return", "BinOp", "Call", "len", "Call", ".strip", "Name",
        "Add", "int",
    )  # fmt: skip
    assert skeleton(ADD) == skeleton(RENAMED)
    assert skeleton("def f(a):\n    return a + 3") == skeleton("def f(a):\n    return a + 4")
    assert skeleton("def f(a):\n    return a + 3") != skeleton("def f(a):\n    return a + '3'")


def test_distance_is_one_minus_the_share_of_common_trigrams():
    # FunctionDef arguments arg arg Return BinOp Name Add Name has 7 trigrams; Mult in place of Add changes
    # the two that hold it, so 5 are shared of 9.
    assert distance(ADD, TIMES) == 1 - 5 / 9
    assert distance(ADD, RENAMED) == 0
    assert distance(ADD, SUM) == distance(SUM, ADD)


def test_novelty_looks_at_the_nearest_and_is_whole_alone():
    assert novelty(ADD, [SUM, TIMES]) == distance(ADD, TIMES)
    assert novelty(ADD, []) == 1


def test_a_straight_program_has_one_path():
    assert cyclomatic_complexity(ADD) == 1
    assert cyclomatic_complexity("def f(a):\n    return a if a or 1 else 2") == 3
