from tinyzero.games.attempts import Stopwatch


def test_a_stopwatch_adds_up_the_seconds_of_a_phase():
    ticks = iter([0.0, 1.5, 10.0, 12.0, 20.0, 20.25])
    watch = Stopwatch(clock=lambda: next(ticks))
    for phase in ("solve", "judge", "solve"):
        with watch(phase):
            pass
    assert watch.seconds == {"solve": 1.75, "judge": 2.0}
