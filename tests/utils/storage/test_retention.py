"""Which checkpoints and replays stay."""

from pathlib import Path

import pytest

from utils.storage.results import COLUMNS, Ledger, append_result
from utils.storage.retention import judged, superfluous, superfluous_replays


def steps_of(paths):
    return [int(path.name.rpartition("-")[2]) for path in paths]


def named(steps, prefix="E.ckpt-"):
    return [Path(f"{prefix}{step}") for step in steps]


@pytest.mark.parametrize(
    ("steps", "tested", "best", "go"),
    [
        ([], set(), None, []),
        ([10, 20, 30], {10, 20, 30}, 30, []),  # not more than may stay
        ([10, 20, 30, 40], {10, 20, 30, 40}, 40, [10]),
        ([10, 20, 30, 40], {10, 20, 30, 40}, 10, []),  # the best is kept beside the three
        ([10, 20, 30, 40, 50], {10, 20, 30, 40, 50}, 10, [20]),
        ([10, 20, 30, 40], set(), None, []),  # untested ones stay up to twice as many
        ([10, 20, 30, 40, 50, 60, 70], set(), None, [10]),
        ([10, 20, 30, 40, 50, 60, 70], set(), 10, []),
        ([10, 20, 30, 40, 50, 60, 70], {20, 30}, None, [10, 20, 30]),
        ([10, 20, 30, 40], {40}, 40, []),
    ],
)
def test_the_oldest_tested_checkpoints_are_removed_first(steps, tested, best, go):
    assert sorted(steps_of(superfluous(named(steps), 3, tested, best))) == go


@pytest.mark.parametrize(
    ("steps", "newest", "saved", "go"),
    [
        ([10, 20], None, 10, []),  # this training has written none: what is there may be all there is
        ([10, 20], 20, 20, [10]),  # the checkpoint of 20 is there
        ([10, 20], 20, 15, []),  # it is not yet: a resume at 15 needs that of 10
        ([5, 10, 20], 20, 15, [5]),
        ([10, 20], 20, None, [10]),
        ([10, 20, 90], 20, 20, [10, 90]),  # 90 is of a future that was given up
    ],
)
def test_a_replay_is_kept_until_the_next_checkpoint_exists(steps, newest, saved, go):
    assert steps_of(superfluous_replays(named(steps, "replay-"), newest, saved)) == go


def score(results, learner_step, mean, run_id="a run", first_seed=1_000_000):
    row = {"sem": 0.0, "learner_step": learner_step, "mean": mean, "run_id": run_id, "first_seed": first_seed}
    append_result(results, dict.fromkeys(COLUMNS, "") | row)


def test_the_best_checkpoint_ignores_published_scores_and_other_runs(tmp_path):
    results = tmp_path / "results" / "E"
    ledger = Ledger(results.with_name("E.tested.jsonl"))
    for step in (10, 20, 30):
        ledger.add("a run", step, "tested")
        score(results, step, -100.0 - step)
    ledger.add("another run", 99, "tested")
    score(results, 40, -1.0, run_id="another run")
    score(results, 30, -2.0, first_seed=0)  # published: chooses nothing
    assert judged(results, "a run", 0, 1_000_000) == ({10, 20, 30}, 10)


def test_without_scores_nothing_is_tested_or_best(tmp_path):
    assert judged(tmp_path / "E", "a run", 0, 1_000_000) == (set(), None)


@pytest.mark.parametrize("content", ["", "what\nis,this\n", "learner_step,mean\n1,2\n", "\0\xff"])
def test_unreadable_scores_protect_no_checkpoint_and_never_raise(tmp_path, content):
    (tmp_path / "E.csv").write_text(content)
    assert judged(tmp_path / "E", "a run", 0, 1_000_000) == (set(), None)


def test_a_score_that_is_not_a_number_is_ignored(tmp_path):
    results = tmp_path / "E"
    score(results, 20, float("nan"))
    assert judged(results, "a run", 0, 1_000_000)[1] is None
    score(results, 10, -100.0)
    assert judged(results, "a run", 0, 1_000_000)[1] == 10
