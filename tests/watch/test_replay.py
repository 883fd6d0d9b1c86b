from made import made_state

from tinyzero.watch.replay import Replay


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_replay_goes_from_the_first_step_to_the_last_at_its_speed():
    clock = Clock()
    replay = Replay(made_state(10), speed=2, clock=clock)
    assert replay.look().step == 1
    clock.now = 1.0
    assert replay.look().step == 3
    clock.now = 100.0
    assert replay.look().step == 10
    assert replay.is_over


def test_between_steps_the_state_is_the_same_object():
    clock = Clock()
    replay = Replay(made_state(10), speed=1, clock=clock)
    first = replay.look()
    clock.now = 0.5
    assert replay.look() is first


def test_a_replay_holds_turns_back_and_changes_speed():
    clock = Clock()
    replay = Replay(made_state(10), speed=5, clock=clock)
    replay.is_paused = True
    clock.now = 50.0
    assert replay.look().step == 1
    replay.move(4)
    replay.move(-1)
    assert replay.look().step == 4
    replay.change_speed(is_faster=True)
    assert replay.speed == 10
    replay.change_speed(is_faster=False)
    replay.change_speed(is_faster=False)
    assert replay.speed == 2


def test_a_run_without_steps_can_be_replayed():
    assert Replay(made_state(0), speed=1).look().step == 0
