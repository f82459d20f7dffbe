"""The eleven goals of reliability, each as a function that tries it and returns its figures.

Each raises AssertionError where the goal is missed. test_goals.py calls the short forms, long_run.py the long ones.
In a process of its own: some fork, some measure the process. Counts are arguments; `folder` is an empty one.
"""

import contextlib
import gc
import hashlib
import io
import json
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from itertools import chain
from pathlib import Path

import numpy as np
from factories import make_networks, make_replay, make_scaling
from fake_learner import FakeRun, numbered, numbers_of
from reliability import fuzzed_params
from reliability.audit_hook import LOADERS, OWN_CODE, PROCESSES, importing
from reliability.crash_injection import killed_before_operation, random_kills
from reliability.malicious_files import HOSTILE
from trainings import PATHS, ROOT, SMALL, Training, flags_of, slowed

from agent.agent import Agent
from agent.evaluation import evaluate
from agent.policy import Critic, Policy
from agent.scaling import Scaling
from agent.training.counters import RunCounters
from agent.training.workers.pool import WorkerPool
from agent.training.workers.replay_writer import ReplayWriter
from params import ENVS, TrainParams
from utils.console import Console
from utils.envs.spec import EnvSpec
from utils.errors import CheckpointError, EnvironmentFailure
from utils.replay.prioritised import CHUNK, PrioritisedReplay
from utils.replay.rate_limiter import RateLimiter
from utils.replay.snapshots import restore_newest, write_snapshot
from utils.replay.transitions import TransitionBatch
from utils.storage.checkpoints import Checkpoint, checkpoint_path, list_snapshots, newest_checkpoint
from utils.storage.results import Ledger
from utils.storage.run_folder import Run, read_run
from utils.storage.verified_folder import manifest_checksum, write_verified
from utils.storage.watcher import Watcher

RESUMED = "learner step "


def expect(condition, said):
    """What `assert` does, with -O as well."""
    if not condition:
        raise AssertionError(said)


# ---- 1 and 2: kills


def kill_the_store(folder, kills):
    """SIGKILL while checkpoints are saved one after the other: none that was reported is lost."""
    return {"kills": kills, "reported": random_kills(folder, kills), "lost": 0}


def kill_trainings(folder, kills, longest=3.0, seed=0):
    """SIGKILL of a real train.py, which is resumed each time, never from behind what it had reported."""
    rng, reported, behind = random.Random(seed), 0, 0
    for i in range(kills + 1):
        training = Training(folder, num_steps_train=10**6, resume=True)
        training.until_reported(beyond=reported)  # it goes on
        if reported:
            (line,) = [line for line in training.text().splitlines() if line.startswith("Resuming from")]
            resumed = int(line.rpartition(RESUMED)[2].rstrip(".").replace(",", ""))
            behind += resumed < reported
            expect(resumed >= reported, f"resumed at {resumed}, reported were {reported}")
            expect("Skipped" not in training.text(), training.text())
        if i == kills:
            expect(training.end(signal.SIGTERM)[0] == 143, training.text())
            break
        time.sleep(rng.uniform(0.0, longest))
        reported = training.reported()
        training.end(signal.SIGKILL)
        reported = max(reported, read_run(training.checkpoints).get("learner_step", 0))
    return {"kills": kills, "learner_step": reported, "behind": behind}


def kill_at_every_operation(folder):
    """A kill before each file operation of one save with the replay, and of what goes then: every state goes on.

    In the synchronous mode the replay must be that of the very checkpoint. A kill leaves in memory what it leaves on a disk.
    """
    with in_memory(folder) as folder:
        return kill_before_each_operation(folder)


def kill_before_each_operation(folder):
    """What kill_at_every_operation does, in this folder."""
    for n in range(1000):
        place = folder / str(n)
        first = FakeRun(place, synchronous=True, max_ckpts=1)
        for step in (10, 20):
            first.save(step)
        first.run.close()

        def act(place=place):
            run = FakeRun(place, synchronous=True, max_ckpts=1)
            run.checkpointer.restore(newest_checkpoint(place)[0])
            run.save(30)

        finished = killed_before_operation(n, act)
        run = FakeRun(place, synchronous=True, max_ckpts=1)
        newest, passed_over = newest_checkpoint(place)
        expect(not passed_over and newest.step in (20, 30), f"operation {n}: {newest}, {passed_over}")
        said = run.checkpointer.restore(newest)
        expected = [f"The replay is that of learner step {newest.step}, {len(run.replay)} transitions."]
        expect(said == expected, f"operation {n}: {said}")
        rows = np.concatenate([*run.replay.snapshot()[2]])
        expect(sorted(numbers_of(rows)) == list(range(16 * newest.step // 10)), f"operation {n}: other transitions")
        run.save(40)
        expect(newest_checkpoint(place)[0].step == 40, f"operation {n}: the next save fails")
        expect([path.name for path in list_snapshots(place)] == ["replay-40"], f"operation {n}: {list_snapshots(place)}")
        run.run.close()
        if finished:
            return {"operations": n, "lost": 0}
        shutil.rmtree(place)
    raise AssertionError("it never came to its end")


@contextlib.contextmanager
def in_memory(folder):
    """A temporary folder in memory, where the system has such a place; otherwise `folder`."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="goals-", dir=memory) as name:
        yield Path(name)


# ---- 3 and 4: files and parameters that others made


def tiny_checkpoint(path):
    """Save a valid checkpoint with networks of four units; returns its path."""
    policy, critic = make_networks(make_scaling(3), np.linspace(-1, 1, 5, dtype=np.float32), units=(4, 4))
    files = {
        Policy.FILE: policy.arrays(),
        Critic.FILE: critic.arrays(),
        "state.json": {"resume_count": 0, "agents": [{"episodes": 3}]},
        "counters.json": {"limiter": {"inserts": 5, "samples": 160}},
    }
    write_verified(path, files, {"learner_step": 5, "run_id": "a run", "env": "Toy-v0"})
    return path


def content_of(path, name):
    """What a checkpoint holds in one of its files, all of which are verified, in a form that can be compared."""
    checkpoint = Checkpoint(path).verify()
    if name == "manifest.json":
        return repr(checkpoint.manifest)
    if name.endswith(".json"):
        return repr(checkpoint.json(name))
    arrays = (Policy if name == Policy.FILE else Critic).of(checkpoint).arrays()
    return repr([(key, array.dtype.str, array.shape, array.tobytes()) for key, array in arrays.items()])


WORDS = [b"../", b"1e999", b"{", b"}", b"[[[[", b"NaN", b"null", b"\0", b"9" * 30]


def mutated(content, rng):
    """Bytes, changed in one of the ways in which bytes go bad or are made bad."""
    start, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    ways = [
        content[:start],
        content[:start] + rng.randbytes(rng.randint(1, 8)) + content[start + 1 :],
        content[:start] + content[end:],
        content[:end] + content[start:],
        content[:start] + bytes(end - start) + content[end:],
        content + rng.randbytes(rng.randint(1, 64)),
        content[:start] + bytes([content[start - 1] ^ 1 << rng.randrange(8)]) + content[start + 1 :] if content else b"",
        content[:start] + rng.choice(WORDS) + content[end:],
    ]
    return rng.choice(ways)


def mutate(folder, count, seed=0):
    """Checkpoints damaged (the checksums left as they were) or forged (the checksums made to agree), and hostile archives.

    Damaged ones are refused or the same; forged ones are refused or hold arrays; nothing else is raised, no code is run.
    """
    with in_memory(folder) as folder:  # three files are written for each
        return mutate_in(folder, count, seed)


def mutate_in(folder, count, seed):
    """What `mutate` does, in this folder."""
    path, rng, deeds = tiny_checkpoint(folder / "a.ckpt-5"), random.Random(seed), []
    contents = {file.name: file.read_bytes() for file in path.iterdir()}
    whole = {name: content_of(path, name) for name in contents}
    watched = PROCESSES | LOADERS | OWN_CODE | {"os.mkdir", "os.remove", "os.rename", "os.chmod", "os.link", "os.symlink"}

    def watch(event, arguments):
        if not watching or event not in watched and not event.startswith("socket."):
            return
        frame = sys._getframe(1)
        literal = event == "compile" and frame.f_code.co_name == "parse"  # ast.literal_eval of NumPy's headers runs nothing
        if not literal and not importing(frame):
            deeds.append(event)

    watching = False
    sys.addaudithook(watch)
    refused = silently_wrong = 0
    hostile = list(HOSTILE.values())
    for i in range(count):
        name = rng.choice(sorted(contents))
        forged = i % 2 and name != "manifest.json"
        new = mutated(contents[name], rng)
        if forged and name.endswith(".npz") and rng.random() < 0.3:
            new = mutated(rng.choice(hostile), rng) if rng.random() < 0.5 else rng.choice(hostile)
        (path / name).write_bytes(new)
        if forged:
            reseal(path, name, new, contents["manifest.json"])
        watching = True
        try:
            silently_wrong += content_of(path, name) != whole[name] and not forged
        except CheckpointError as error:
            refused += 1
            expect(str(path) in str(error) and "\n" not in str(error), f"no name in {error}")
        finally:
            watching = False
        for changed in {name, "manifest.json"}:
            (path / changed).write_bytes(contents[changed])
    expect(not silently_wrong, f"{silently_wrong} were loaded as something else")
    expect(not deeds, f"code was run: {sorted(set(deeds))}")
    return {"checkpoints": count, "refused": refused, "silently_wrong": silently_wrong, "code_run": len(deeds)}


def reseal(path, name, content, manifest):
    """Make the manifest agree with one file's new content, as a forger can."""
    forged = json.loads(manifest)
    forged["files"][name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (path / "manifest.json").write_text(json.dumps(forged | {"seal": manifest_checksum(forged)}))


def fuzz(folder, sets):
    """Parameter sets drawn at random: every bad field named and no other; command lines end with values or code 2."""
    wrong = [*fuzzed_params.faults(sets), *fuzzed_params.faults_of_flags(sets // 50)]
    expect(not wrong, f"answered wrongly: {wrong[:5]}")
    return {"sets": sets, "command_lines": sets // 50, "wrong": len(wrong)}


# ---- 5: environments


class Acting:
    """Workers on an environment and the replay that they fill, without a limit of pace. No learner."""

    policy = None  # what a worker reads of a learner: uniform actions

    def __init__(self, env_id, folder, size=1, **changes):
        import faulty_envs  # noqa: F401  (registers)

        params = TrainParams(**{"env": env_id, "v_min": -1.0, "v_max": 1.0, "env_timeout": 1.0, "env_restarts": 2} | changes)
        try:
            env = EnvSpec(env_id).make()
        except EnvironmentFailure:
            env = EnvSpec("Healthy-v0").make()
        scaling = Scaling.from_env(env, params)
        self.replay, self.failures, self.stop = make_replay(100_000, env.obs_size, env.action_size), [], threading.Event()
        self.error = None  # EnvironmentFailure that ended the workers
        self._writer = ReplayWriter(
            self.replay, RateLimiter(0.0, 1, 1.0), RunCounters(), lambda batch: None, lambda batch: None
        )

        def make_agent(index):
            return Agent(index, EnvSpec(env_id).make, params, scaling, np.random.SeedSequence(index))

        self._workers = WorkerPool(
            make_agent,
            size,
            params.env_restarts,
            params.env_timeout,
            lambda agent, error: self.failures.append(error),
            folder / "stacks.txt",
            Console(silent=True),
        )
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            self._workers.run(self, self._writer, self.stop)
        except EnvironmentFailure as error:
            self.error = error
        finally:
            self.stop.set()

    def run_until(self, condition, seconds):
        """Run until a condition is true, the workers have failed, or so many seconds have passed; returns the seconds."""
        begun = time.monotonic()
        self._thread.start()
        while self._thread.is_alive() and not condition() and time.monotonic() - begun < seconds:
            time.sleep(0.02)
        took = time.monotonic() - begun
        self.stop.set()
        self._thread.join(slowed(10.0))
        expect(not self._thread.is_alive(), "the workers do not stop")
        return took


def outcome_of(env_id, folder, steps=300):
    """What became of a worker ("goes on", or what its error says), and after how many seconds. Raises on bad numbers."""
    acting, seconds = Acting(env_id, folder), slowed(30.0)
    took = acting.run_until(lambda: acting.replay.added >= steps, seconds)
    expect(acting.error or acting.replay.added >= steps, f"{env_id} hung for {seconds:g} seconds")
    for chunk in acting.replay.snapshot()[2]:
        expect(all(np.isfinite(chunk[name]).all() for name in chunk.dtype.names), f"{env_id}: a bad number is in the replay")
    return (str(acting.error) if acting.error else "goes on"), took


def faulty_environments(folder, crashes):
    """Each faulty environment with a worker for itself, and one that crashes now and then for so many crashes."""
    import faulty_envs

    with contextlib.redirect_stdout(io.StringIO()):
        doomed = [*faulty_envs.FAULTS, *faulty_envs.ANSWERS, "NanInReset", "OldReset", "CrashInMake", "HangInClose"]
        sound = [*faulty_envs.SOUND, "CrashInReset", "HangInReset", "TimeLimited", "CrashInClose", "OneArray", "Bare"]
        doomed += ["CrashInReset", "HangInReset"]  # from the second episode on, each time
        sound = [name for name in sound if name not in doomed]
        found = {}
        threads = [
            threading.Thread(target=lambda name=name: found.__setitem__(name, outcome_of(f"{name}-v0", folder)))
            for name in doomed + sound
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(slowed(120.0))
        wrong = {name: found.get(name) for name in doomed if name not in found or "no agent is left" not in found[name][0]}
        wrong |= {name: found.get(name) for name in sound if name not in found or found[name][0] != "goes on"}
        expect(not wrong, f"another outcome than the one in the table: {wrong}")
        survived, transitions = survive(folder, crashes)
    return {
        "environments": len(found),
        "longest_s": round(max(took for _, took in found.values()), 1),
        "crashes_survived": survived,
        "transitions": transitions,
    }


def survive(folder, crashes, seconds=600.0):
    """Two agents whose environments crash with the probability 0.0005 a step go on for so many crashes."""
    acting = Acting("Flaky-v0", folder, size=2, env_restarts=10)
    acting.run_until(lambda: len(acting.failures) >= crashes, seconds)
    expect(len(acting.failures) >= crashes, f"{len(acting.failures)} crashes in {seconds:g} seconds")
    return len(acting.failures), acting.replay.added


def learn_through_crashes(folder, learner_steps, least):
    """Pendulum learns although its environments crash with the probability 0.0005 a step; scored on the sound one."""
    entry = dict(ENVS["Pendulum-v1"])
    rates = entry.pop("d4pg")
    given = entry | rates | {"num_steps_train": learner_steps, "save_ckpt_step": learner_steps}
    training = Training(folder, env="faulty_envs:FlakyPendulum-v0", small={}, **given)
    training.wait(24 * 3600.0)  # the score at its end may fail: that one is played on the environment that crashes
    newest, _ = newest_checkpoint(training.checkpoints)
    expect(newest is not None and newest.step == learner_steps, training.text())
    score = evaluate(Policy.of(newest), EnvSpec("Pendulum-v1").make, range(100))
    expect(score.mean >= least, f"{score.mean:.1f} is less than {least}")
    return {"learner_step": newest.step, "mean_return": round(score.mean, 1)}


# ---- 6 and 8: the replay


def hammer_the_replay(folder, seconds, writers=8):
    """Many writers and a learner: exact trees, no torn row."""
    sys.setswitchinterval(1e-4)
    replay, stop, errors = make_replay(2000, 3, 1), threading.Event(), []
    replay.add(numbered([0]))
    counts = {"batches": 0, "checks": 0}

    def write(writer):
        first = 0
        while not stop.is_set():
            replay.add(numbered(writer * 500_000 + (first + np.arange(16)) % 500_000))
            first += 16

    def learn(writer):
        rng = np.random.default_rng(1)
        while not stop.is_set():
            sample = replay.sample(4, 64, 0.5)
            numbers_of(sample)
            replay.update_priorities(sample.ids, rng.exponential(size=sample.ids.shape))
            counts["batches"] += 4
            if counts["batches"] % 400 == 0:
                expect(replay.problems() == [], replay.problems())
                for chunk in replay.snapshot()[2]:
                    numbers_of(chunk)
                counts["checks"] += 1

    def guarded(work, writer):
        try:
            work(writer)
        except BaseException as error:
            errors.append(error)
            stop.set()

    threads = [threading.Thread(target=guarded, args=(write, writer)) for writer in range(writers)]
    threads.append(threading.Thread(target=guarded, args=(learn, 0)))
    for thread in threads:
        thread.start()
    stop.wait(seconds)
    stop.set()
    for thread in threads:
        thread.join(slowed(30.0))
    expect(not errors, errors)
    expect(replay.problems() == [], replay.problems())
    return {"seconds": seconds, "transitions": replay.added, **counts, "torn": 0}


def snapshot_a_replay(folder, rows, most_seconds, most_stall):
    """Saving and loading `rows` transitions of 24 numbers: seconds, and the longest stall of a thread that works meanwhile."""
    sys.setswitchinterval(0.0005)  # as train.py
    replay, limiter = make_replay(rows, 24, 4), RateLimiter(32.0, 1000, 1e9)
    rng = np.random.default_rng(0)
    for first in range(0, rows, 10_000):
        replay.add(block_of(min(10_000, rows - first), rng))
    stop, stalls, block = threading.Event(), [], block_of(16, rng)

    def work():
        last = time.monotonic()
        while not stop.is_set():
            sample = replay.sample(8, 256, 0.5)
            replay.update_priorities(sample.ids, sample.weights)
            replay.add(block)
            now = time.monotonic()
            stalls.append(now - last)
            last = now

    thread = threading.Thread(target=work)
    thread.start()
    while len(stalls) < 20:
        time.sleep(0.05)
    before = max(stalls)
    stalls.clear()
    begun = time.monotonic()
    write_snapshot(folder, "a run", 5, replay, limiter)
    saving = time.monotonic() - begun
    stall = max(stalls)
    stop.set()
    thread.join()
    _, count, chunks = replay.snapshot()
    most = max(len(chunk) for chunk in chunks)
    expect(count == rows and most <= CHUNK, f"{most} rows were copied at once")
    write_verified(checkpoint_path(folder, "Toy-v0", 5), {}, {"learner_step": 5, "run_id": "a run"})
    other = PrioritisedReplay(rows, 24, 4, 0.6, 1e-5, rng)
    begun = time.monotonic()
    step, said = restore_newest(Checkpoint(checkpoint_path(folder, "Toy-v0", 5)), other, limiter)
    loading = time.monotonic() - begun
    expect((step, len(other)) == (5, rows), said)
    figures = {
        "rows": rows,
        "save_s": round(saving, 2),
        "load_s": round(loading, 2),
        "longest_stall_ms": round(1000 * stall, 1),
        "longest_stall_before_ms": round(1000 * before, 1),
    }
    expect(saving <= most_seconds and loading <= most_seconds and stall <= most_stall, figures)
    return figures


def block_of(count, rng):
    """So many random transitions of a BipedalWalker's size."""
    obs = rng.normal(size=(count, 24)).astype(np.float32)
    return TransitionBatch(obs, obs[:, :4], obs[:, 0], np.full(count, 0.95, np.float32), obs + 1)


# ---- 7: signals


def signal_trainings(folder, each, longest=4.0, seed=0):
    """SIGINT and SIGTERM at random times: the end within 10 s, the right code, a checkpoint of the step that it says."""
    rng, slowest = random.Random(seed), 0.0
    for i in range(2 * each):
        number = (signal.SIGINT, signal.SIGTERM)[i % 2]
        training = Training(folder / str(i), num_steps_train=10**6)
        training.until_reported()
        time.sleep(rng.uniform(0.0, longest))
        code, seconds = training.end(number)
        slowest = max(slowest, seconds)
        record = read_run(training.checkpoints)
        newest, passed_over = newest_checkpoint(training.checkpoints)
        expect(code == 128 + number, f"{code} after {number}: {training.text()}")
        expect(seconds < slowed(10.0), f"{seconds:.1f} s after {number}")
        if newest is None:  # the first call was still being compiled: no step had been made
            expect(record["learner_step"] == 0 and "is left behind" in training.text(), training.text())
        else:
            expect(record["status"] == "stopped" and newest.step == record["learner_step"], training.text())
        expect(not passed_over, passed_over)
        expect("Traceback" not in training.text(), training.text())
    return {"signals": 2 * each, "slowest_s": round(slowest, 2)}


# ---- 9: memory


def resident():
    """Bytes of memory that this process has taken."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def growth(iterations, leak=0):
    """Bytes that each turn of what agents and learner do outside TensorFlow adds; `leak` bytes a turn are kept on purpose."""
    policy = Policy.load(ROOT / "ckpts/shipped/Pendulum-v1/Pendulum-v1.ckpt-190000")
    replay, kept = make_replay(2000, 3, 1), []

    def turn():
        obs = replay.sample(2, 64, 0.5)
        replay.update_priorities(obs.ids, obs.weights)
        policy.act(obs.obs[0])
        replay.add(numbered(np.arange(16)))
        if leak:
            kept.append(bytes(leak))

    replay.add(numbered(np.arange(2000)))
    for _ in range(iterations // 2):
        turn()
    gc.collect()
    before = resident()
    for _ in range(iterations):
        turn()
    gc.collect()
    return (resident() - before) / iterations


def find_a_leak(folder, iterations):
    """Memory stays flat over many turns, and a leak of 780 bytes a turn would be seen."""
    flat, planted = growth(iterations), growth(iterations, leak=780)
    expect(flat < 300 < planted, f"{flat:.0f} and {planted:.0f} bytes a turn")
    return {"turns": iterations, "bytes_a_turn": round(flat), "with_planted_leak": round(planted)}


def watch_memory(folder, minutes, settle_minutes, most_mb_a_minute):
    """The slope of a real training's memory, once the pages of its replay are all touched."""
    given = dict(replay_mem_size=20_000, save_ckpt_step=2000, max_ckpts=3, max_ep_length=200)
    training = Training(folder, small=SMALL | given, num_steps_train=10**9)
    training.until_reported(beyond=0)
    status = Path(f"/proc/{training.process.pid}/statm")
    time.sleep(60.0 * settle_minutes)
    begun, points = time.monotonic(), []
    while (elapsed := time.monotonic() - begun) < 60.0 * minutes:
        expect(training.process.poll() is None, training.text())
        points.append((elapsed / 60.0, int(status.read_text().split()[1]) * resource.getpagesize() / 2**20))
        time.sleep(2.0)
    step = training.reported()
    expect(training.end(signal.SIGTERM)[0] == 143, training.text())
    slope = float(np.polyfit(*np.array(points).T, 1)[0])
    figures = {"minutes": minutes, "mb_a_minute": round(slope, 3), "mb": round(points[-1][1]), "learner_step": step}
    expect(slope <= most_mb_a_minute, figures)
    return figures


# ---- 10: the watcher


def watch(folder):
    """A watcher whose tests crash now and then. Started as a process by `burst`."""
    folder = Path(folder)

    def test(path):
        code = f"import sys, zlib; sys.exit(zlib.crc32({path.name!r}.encode()) % 3 == 0)"
        ended = subprocess.run([sys.executable, "-S", "-c", code])
        return "failed" if ended.returncode else "tested"

    Watcher(folder / "ckpts", Ledger(folder / "tested.jsonl"), test).run(threading.Event(), exit_when_done=True)


WATCH = "import sys; from reliability import goals; goals.watch(sys.argv[1])"


def burst(folder, checkpoints, kills, seed=0):
    """Checkpoints that appear in a burst, tests that crash, kills of the watcher: exactly one line for each."""
    rng, killed = random.Random(seed), 0
    source = tiny_checkpoint(folder / "source")
    files = {name: Checkpoint(source).arrays(name) for name in (Policy.FILE, Critic.FILE)}
    run, ledger = Run(folder / "ckpts"), Ledger(folder / "tested.jsonl")
    run.report("training", 0)

    def save_all():
        for step in range(1, checkpoints + 1):
            manifest = {"learner_step": step, "run_id": run.run_id, "env": "Toy-v0"}
            write_verified(checkpoint_path(run.folder, "Toy-v0", step), files, manifest)

    saving = threading.Thread(target=save_all)
    saving.start()

    def start():
        return subprocess.Popen(
            [sys.executable, "-c", "import sys; from reliability import goals; goals.watch(sys.argv[1])", str(folder)],
            env=os.environ | PATHS,
        )

    watcher = start()
    while killed < kills:
        known = len(ledger.keys())
        while len(ledger.keys()) == known and known < checkpoints:  # it is at work
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.3))
        watcher.kill()
        watcher.wait()
        killed += 1
        watcher = start()
    saving.join()
    run.close()  # the run has ended: the watcher may, too
    expect(watcher.wait(slowed(60.0 + 2.0 * checkpoints)) == 0, "the watcher failed")
    entries = [(entry["learner_step"], entry["outcome"]) for entry in ledger.entries()]
    expect(sorted(step for step, _ in entries) == list(range(1, checkpoints + 1)), f"{len(entries)} lines")
    failed = sum(outcome == "failed" for _, outcome in entries)
    return {"checkpoints": checkpoints, "kills": killed, "lines": len(entries), "failed_tests": failed}


# ---- 11: nothing but what was asked for, and the same bit for bit

SAME = ("policy.npz", "critic.npz", "learner.npz")


def repeat_bit_for_bit(folder, steps=80, seed=0, compile_cache=False):
    """In the synchronous mode: a run in one go, under an audit hook, and one that is killed and resumed end in equal bytes.

    Without the compile cache each process compiles its own program: that these are the same is part of the claim.
    """
    given = dict(synchronous=True, num_steps_train=2 * steps, save_ckpt_step=steps // 2, random_seed=7, small=SMALL)
    given |= {"compile_cache": compile_cache}
    whole = Training(folder / "whole", audited=True, **given)
    if compile_cache:
        whole.until_reported(beyond=0)  # its program is in the cache
    killed = Training(folder / "killed", **given)
    killed.until_reported(beyond=0)
    time.sleep(random.Random(seed).uniform(0.0, 0.05))  # a fast machine ends the run within 0.2 seconds
    killed.end(signal.SIGKILL)
    resumed = Training(folder / "killed", audited=True, resume=True, **given)
    for training in (whole, resumed):
        expect(training.wait(600.0) == 0, training.text())
    expect("Resuming from" in resumed.text() and "bit for bit" not in resumed.text(), resumed.text())
    ends = [newest_checkpoint(training.checkpoints)[0] for training in (whole, resumed)]
    expect([end.step for end in ends] == [2 * steps] * 2, resumed.text())
    different = [name for name in SAME if ends[0].bytes(name) != ends[1].bytes(name)]
    replays = [Checkpoint(end.path.with_name(f"replay-{end.step}")) for end in ends]
    different += [name for name in ("transitions.npy", "counters.json") if len({replay.bytes(name) for replay in replays}) > 1]
    different += ["agents"] if ends[0].json("state.json")["agents"] != ends[1].json("state.json")["agents"] else []
    expect(not different, f"not the same bit for bit: {different}")
    return {"learner_steps": 2 * steps, "different": 0, **audit(folder, whole.checkpoints.parent)}


def audit(folder, checkpoints):
    """test.py and play.py on these checkpoints under the audit hook; counts what any of the audited scripts did wrong."""
    common = {"ckpt_dir": checkpoints}
    for script, given in (
        ("test.py", {"results_dir": folder / "results", "num_eps_test": 2}),
        ("play.py", {"record_dir": folder / "video", "num_eps_play": 1}),
    ):
        command = [ROOT / "tests/reliability/audit_hook.py", folder / script / "audit.txt", script, *flags_of(common | given)]
        (folder / script).mkdir()
        done = subprocess.run(
            [sys.executable, *map(str, command)], env=os.environ | PATHS, capture_output=True, text=True, timeout=600
        )
        expect(done.returncode == 0, done.stdout + done.stderr)
    logs = {path: path.read_text().splitlines() for path in folder.rglob("audit.txt")}
    expect(len(logs) == 4 and all(lines[0] == "main" for lines in logs.values()), f"{logs}")
    misdeeds = list(chain.from_iterable(lines[1:] for lines in logs.values()))
    expect(not misdeeds, misdeeds)
    return {"scripts_audited": len(logs), "misdeeds": 0}


# ---- and the price of the guards


def weigh_the_guards(folder, pairs, calls=30):
    """The learner's updates/s with all guards on, divided by those without: the median of alternating pairs."""
    from agent.learning.learner import Learner
    from agent.learning.update import CompiledUpdate

    class Unguarded(CompiledUpdate):
        def _keep_where(self, finite, before):
            pass

    rng, params = np.random.default_rng(0), TrainParams(v_min=-40.0, v_max=40.0, num_steps_train=10**9, save_ckpt_step=10**9)
    scaling = make_scaling(24, 4, reward_scale=10.0)

    def make(kind):
        replay = make_replay(50_000, 24, 4)
        replay.add(block_of(50_000, rng))
        learner = Learner(params, scaling, replay, np.random.default_rng(0))
        learner.update = kind(params, scaling, np.random.default_rng(0))
        for _ in range(3):
            learner.step()  # compiles
        return learner, learner._draw(0)

    def rate(learner, sample):
        begun = time.monotonic()
        for _ in range(calls):
            learner.step(sample)
        return calls * params.updates_per_call / (time.monotonic() - begun)

    guarded, unguarded = make(CompiledUpdate), make(Unguarded)
    rates = []
    for i in range(pairs):
        first, second = (guarded, unguarded) if i % 2 else (unguarded, guarded)
        pair = {id(one[0]): rate(*one) for one in (first, second)}
        rates.append((pair[id(guarded[0])], pair[id(unguarded[0])]))
    ratio = statistics.median(one / other for one, other in rates)
    figures = {"pairs": pairs, "updates_per_s": round(statistics.median(one for one, _ in rates)), "ratio": round(ratio, 4)}
    expect(ratio >= 0.97, figures)
    return figures
