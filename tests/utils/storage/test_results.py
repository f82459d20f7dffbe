"""Scores and the ledger on disk: their exact form, and what survives damage, kills and a full disk."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from utils.errors import StorageError
from utils.storage.results import (
    COLUMNS,
    Ledger,
    ScoreKind,
    append_result,
    main_kind,
    read_results,
    read_scores,
    rewind_results,
)

ROOT = Path(__file__).resolve().parents[3]
ROW = {
    "learner_step": 5000,
    "env_step": 41000,
    "seconds": 12.5,
    "mean": -146.4267,
    "sem": 6.8649,
    "min": -371.5,
    "max": -0.25,
    "episodes": 100,
    "first_seed": 0,
    "starts": "",
    "run_id": "r-1",
    "checkpoint": "Pendulum-v1.ckpt-5000",
}


# ---- results


def test_the_text_file_has_the_originals_line_and_an_empty_one(tmp_path):
    append_result(tmp_path / "Pendulum-v1", ROW)
    append_result(tmp_path / "Pendulum-v1", ROW | {"learner_step": 10000, "mean": 0.0, "sem": 0.005})
    assert (tmp_path / "Pendulum-v1.txt").read_text() == (
        "Training Episode 5000: \t Average reward = -146.43 +/- 6.86 /ep \n\n"
        "Training Episode 10000: \t Average reward = 0.00 +/- 0.01 /ep \n\n"
    )


def test_the_csv_has_the_columns_once_and_a_row_for_each_score(tmp_path):
    for step in (5000, 10000, 15000):
        append_result(tmp_path / "Pendulum-v1", ROW | {"learner_step": step})
    lines = (tmp_path / "Pendulum-v1.csv").read_text().splitlines()
    assert lines[0] == (
        "learner_step,env_step,seconds,mean,sem,min,max,episodes,first_seed,starts,run_id,checkpoint"  # as documented
    )
    assert lines[1] == "5000,41000,12.5,-146.4267,6.8649,-371.5,-0.25,100,0,,r-1,Pendulum-v1.ckpt-5000"
    assert len(lines) == 4


def test_results_read_back_as_text_by_column(tmp_path):
    odd = ROW | {"starts": 'a, "quoted"\nname.csv'}
    append_result(tmp_path / "x", ROW)
    append_result(tmp_path / "x", odd)
    assert read_results(tmp_path / "x.csv") == [{name: str(row[name]) for name in COLUMNS} for row in (ROW, odd)]


def test_the_folder_is_made(tmp_path):
    append_result(tmp_path / "test_results" / "Pendulum-v1" / "run", ROW)
    assert (tmp_path / "test_results" / "Pendulum-v1" / "run.csv").exists()


def test_a_dot_in_the_name_is_no_suffix(tmp_path):
    append_result(tmp_path / "Thing-v1.5", ROW)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Thing-v1.5.csv", "Thing-v1.5.txt"]


def test_an_empty_table_gets_its_columns(tmp_path):
    (tmp_path / "x.csv").touch()
    append_result(tmp_path / "x", ROW)
    assert read_results(tmp_path / "x.csv")[0]["run_id"] == "r-1"


def test_an_incomplete_row_is_ended_and_not_read_as_a_score(tmp_path):
    append_result(tmp_path / "x", ROW)
    with open(tmp_path / "x.csv", "a") as file:
        file.write("10000,820")
    append_result(tmp_path / "x", ROW | {"learner_step": 15000})
    assert [row["learner_step"] for row in read_results(tmp_path / "x.csv")] == ["5000", "15000"]


def test_the_same_test_twice_makes_one_row(tmp_path):
    for _ in range(2):
        append_result(tmp_path / "x", ROW)
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 2
    assert (tmp_path / "x.txt").read_text().count("Average reward") == 1


def test_last_row_of_an_identity_is_valid(tmp_path):
    for mean in (-146.0, -145.0, -146.0):  # a new version of the environment, and back
        append_result(tmp_path / "x", ROW | {"mean": mean})
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 4  # nothing was rewritten
    assert [row["mean"] for row in read_results(tmp_path / "x.csv")] == ["-146.0"]


@pytest.mark.parametrize(
    "other", [{"run_id": "r-2"}, {"learner_step": 1}, {"first_seed": 7}, {"episodes": 3}, {"starts": "starts.csv"}]
)
def test_tests_of_different_episodes_or_checkpoints_are_different_scores(tmp_path, other):
    append_result(tmp_path / "x", ROW)
    append_result(tmp_path / "x", ROW | other)
    assert len(read_results(tmp_path / "x.csv")) == 2


def kinds(*seeds):
    return [{"first_seed": str(seed), "episodes": "10", "starts": ""} for seed in seeds]


@pytest.mark.parametrize(("rows", "seed"), [(kinds(0, 5, 5), "5"), (kinds(0, 1000000), "1000000"), (kinds(7, 0), "7")])
def test_the_main_kind_is_the_most_frequent_and_among_equals_the_preferred(rows, seed):
    assert main_kind(rows, 1_000_000) == ScoreKind(seed, "10", "")


def test_without_rows_there_is_no_main_kind():
    assert main_kind([], 0) is None


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (("1000000", "100", ""), "100 episodes from seeds 1,000,000 to 1,000,099"),
        (("", "100", "starts.csv"), "100 episodes from the start states in starts.csv"),
        (("", "", ""), "episodes of unknown seeds"),
    ],
)
def test_a_kind_is_named_by_its_episodes(kind, words):
    assert str(ScoreKind(*kind)) == words


@pytest.mark.parametrize("suffix", ["txt", "csv"])
def test_a_write_error_is_one_sentence(tmp_path, suffix):
    (tmp_path / f"x.{suffix}").mkdir()
    with pytest.raises(StorageError, match="could not be written") as caught:
        append_result(tmp_path / "x", ROW)
    assert str(tmp_path) in str(caught.value)


def test_a_file_in_place_of_the_folder_is_one_sentence(tmp_path):
    (tmp_path / "test_results").touch()
    with pytest.raises(StorageError, match="could not be written"):
        append_result(tmp_path / "test_results" / "x", ROW)
    with pytest.raises(StorageError, match="could not be written"):
        Ledger(tmp_path / "test_results" / "x.tested.jsonl").add("r", 1, "tested")


ON_A_FULL_DISK = """
import json, resource, sys
from pathlib import Path
from utils.errors import StorageError
from utils.storage.results import Ledger, append_result
folder, room, row = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
for write in (
    lambda: append_result(folder / "x", row),
    lambda: Ledger(folder / "ledger").add("r", 1, "tested", checkpoint="c" * 200),
):
    try:
        write()
        print("written")
    except StorageError as error:
        print("StorageError")
"""


def on_a_full_disk(folder, room):
    command = [sys.executable, "-c", ON_A_FULL_DISK, str(folder), str(room), json.dumps(ROW)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)


@pytest.mark.parametrize("room", [0, 40, 150])  # nothing fits, half a line does, the text does but not the table
def test_a_full_disk_raises_storage_error_for_the_score(tmp_path, room):
    done = on_a_full_disk(tmp_path, room)
    assert done.stdout.split() == ["StorageError", "StorageError"], done.stderr


@pytest.mark.parametrize("room", [0, 80, 150])  # no header, half of it, half of the first row
def test_once_the_disk_has_room_again_scores_can_be_read(tmp_path, room):
    on_a_full_disk(tmp_path, room)
    append_result(tmp_path / "x", ROW)
    append_result(tmp_path / "x", ROW | {"learner_step": 10000})
    assert [row["learner_step"] for row in read_results(tmp_path / "x.csv")] == ["5000", "10000"]


# ---- the ledger


def test_an_entry_reads_back_with_all_fields(tmp_path):
    ledger = Ledger(tmp_path / "new" / "x.tested.jsonl")
    ledger.add("r-1", 5000, "tested", checkpoint="x.ckpt-5000")
    ledger.add("r-1", 10000, "failed")
    assert list(ledger.entries()) == [
        {"run_id": "r-1", "learner_step": 5000, "outcome": "tested", "checkpoint": "x.ckpt-5000"},
        {"run_id": "r-1", "learner_step": 10000, "outcome": "failed"},
    ]
    assert ledger.keys() == {("r-1", 5000), ("r-1", 10000)}
    assert len(ledger.path.read_text().splitlines()) == 2


def test_the_key_is_run_and_step_together(tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    ledger.add("one", 5, "tested")
    ledger.add("two", 5, "gone")
    ledger.add("one", 5, "tested")
    assert ledger.keys() == {("one", 5), ("two", 5)}


def test_a_run_that_went_on_from_an_earlier_step_has_not_tested_the_later_ones(tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    for run, step in (("one", 5), ("one", 10), ("one", 15), ("two", 15)):
        ledger.add(run, step, "tested")
    ledger.rewind("one", 5)
    assert ledger.keys() == Ledger(ledger.path).keys() == {("one", 5), ("two", 15)}
    ledger.add("one", 10, "tested")
    assert ledger.keys() == Ledger(ledger.path).keys() == {("one", 5), ("one", 10), ("two", 15)}
    lines = ledger.path.read_text()
    ledger.rewind("one", 10)  # there is nothing later
    assert ledger.path.read_text() == lines


def test_scores_of_abandoned_steps_are_retracted(tmp_path):
    for run, step in (("r-1", 5), ("r-1", 10), ("r-2", 10)):
        append_result(tmp_path / "x", ROW | {"run_id": run, "learner_step": step})
    rewind_results(tmp_path / "x", "r-1", 5)
    rewind_results(tmp_path / "x", "r-1", 5)
    rewind_results(tmp_path / "missing", "r-1", 5)
    found = {(row["run_id"], row["learner_step"]): row["mean"] for row in read_results(tmp_path / "x.csv")}
    mean = str(ROW["mean"])
    assert found == {("r-1", "5"): mean, ("r-2", "10"): mean}
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 5
    append_result(tmp_path / "x", ROW | {"run_id": "r-1", "learner_step": 10, "mean": -7.0})
    assert [row["mean"] for row in read_results(tmp_path / "x.csv") if row["run_id"] == "r-1"] == [mean, "-7.0"]


def test_a_ledger_that_does_not_exist_is_empty(tmp_path):
    assert Ledger(tmp_path / "missing" / "ledger").keys() == set()


def test_an_unreadable_ledger_raises_instead_of_being_empty(tmp_path):
    # Taking it for empty would test everything again.
    with pytest.raises(StorageError, match="cannot be read"):
        Ledger(tmp_path).keys()


def test_a_line_cut_at_any_byte_is_skipped(tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    ledger.add("r", 1, "tested")
    whole = ledger.path.read_bytes()
    ledger.add("r", 2, "tested", note="ü")
    both = ledger.path.read_bytes()
    for cut in range(len(whole), len(both) - 1):
        ledger.path.write_bytes(both[:cut])
        ledger.add("r", 3, "tested")
        assert ledger.keys() - {("r", 2)} == {("r", 1), ("r", 3)}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"5",
        b'"text"',
        b"[]",
        b"[1, 2]",
        b"{}",
        b'{"run_id": "r"}',
        b'{"learner_step": 3}',
        b'{"run_id": "r", "learner_step": "three"}',
        b'{"run_id": "r", "learner_step": null}',
        b'{"run_id": "r", "learner_step": NaN}',
        b'{"run_id": "r", "learner_step": 1e999}',
        b'{"run_id": ["r"], "learner_step": 3}',
        b"\xff\xfe\x00",
        b"\0" * 200,  # what a power loss may leave
    ],
)
def test_an_invalid_line_is_skipped(tmp_path, line):
    ledger = Ledger(tmp_path / "ledger")
    ledger.add("r", 1, "tested")
    with open(ledger.path, "ab") as file:
        file.write(line + b"\n")
    ledger.add("r", 2, "tested")
    known = ledger.keys()
    assert {("r", 1), ("r", 2)} <= known
    assert ("r", 3) not in known


@pytest.mark.parametrize("damage", [b"\xff", b"\0", b"e", b'"', b"[", b"\n", b"\\"])
def test_a_flipped_byte_damages_only_its_own_line(tmp_path, damage):
    ledger = Ledger(tmp_path / "ledger")
    for step in (100, 20000, 300):
        ledger.add("r", step, "tested")
    whole = ledger.path.read_bytes()
    first, second = len(whole.split(b"\n")[0]) + 1, len(whole.split(b"\n")[1])
    for place in range(first, first + second):
        ledger.path.write_bytes(whole[:place] + damage + whole[place + 1 :])
        assert {("r", 100), ("r", 300)} <= ledger.keys()


def test_concurrent_watchers_lose_no_entry(tmp_path):
    ledger = Ledger(tmp_path / "ledger")

    def write(name):
        for step in range(20):
            ledger.add(name, step, "tested")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.keys() == {(name, step) for name in "abcd" for step in range(20)}
    assert len(list(ledger.entries())) == 80


def test_scores_are_the_rows_and_without_them_the_originals_lines(tmp_path):
    path = tmp_path / "Pendulum-v1"
    assert read_scores(path) == []
    append_result(path, ROW)
    append_result(path, ROW | {"learner_step": 10000, "mean": -1.0})
    assert [(row["learner_step"], row["mean"], row["run_id"]) for row in read_scores(path)] == [
        ("5000", "-146.4267", "r-1"),
        ("10000", "-1.0", "r-1"),
    ]
    (tmp_path / "Pendulum-v1.csv").unlink()
    lines = read_scores(path)
    assert [(row["learner_step"], row["mean"], row["sem"]) for row in lines] == [
        ("5000", "-146.43", "6.86"),
        ("10000", "-1.00", "6.86"),
    ]
    assert all(set(row) == set(COLUMNS) and row["run_id"] == "" for row in lines)


def test_lines_of_another_format_are_skipped(tmp_path):
    text = "Training Episode x: \t Average reward = 1 +/- 2 /ep\nrubbish\n"
    text += "Training Episode 7: \t Average reward = -3.5 +/- nan /ep \n"
    (tmp_path / "Toy-v0.txt").write_text(text)
    assert [(row["learner_step"], row["mean"], row["sem"]) for row in read_scores(tmp_path / "Toy-v0")] == [
        ("7", "-3.5", "nan")
    ]
