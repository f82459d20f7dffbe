"""Runs a script of the toolkit and writes down what it must never do, from the moment its main() starts.

python tests/reliability/audit_hook.py LOG train.py --env ...
"""

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = {"os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system", "os.spawn", "subprocess.Popen", "pty.spawn"}
LOADERS = {"pickle.find_class", "marshal.loads", "marshal.load"}
CHILD = str(ROOT / "utils/child.py")  # starts scripts of the toolkit, which do not share memory with a training
OWN_CODE = {"exec", "compile"}  # forbidden where our own code asks for it; TensorFlow traces functions that way


def misdeed(event, arguments, log):
    """Write an event down if it is one that must not happen."""
    is_socket = event.startswith("socket.") and event != "socket.gethostname"
    if not is_socket and event not in PROCESSES | LOADERS | OWN_CODE:
        return
    frame = sys._getframe(2)  # announced, too: only asked for when it matters
    if event == "subprocess.Popen" and CHILD in files_of(frame):
        return
    place = Path(frame.f_code.co_filename)
    ours = place.parent == ROOT or any(place.is_relative_to(ROOT / folder) for folder in ("agent", "utils"))
    # urllib3, which Keras imports, binds a socket for an instant to see whether there is IPv6. Connecting is never an import.
    if ours if event in OWN_CODE else event == "socket.connect" or not importing(frame):
        log.write(f"{event} {str(arguments)[:200]!r} at {place}:{frame.f_lineno}\n")
        log.flush()


def importing(frame):
    """Whether a module is being imported there: what foreign modules do for that is not of our doing."""
    return any(name.startswith("<frozen importlib") for name in files_of(frame))


def files_of(frame):
    """The files of the functions that are being executed there, innermost first."""
    while frame is not None:
        yield frame.f_code.co_filename
        frame = frame.f_back


def main():
    path, script = sys.argv[1], ROOT / sys.argv[2]
    sys.argv = [str(script), *sys.argv[3:]]
    sys.path[0] = str(ROOT)
    import utils.script

    run_script = utils.script.run_script
    log = open(path, "w")  # noqa: SIM115 (it stays open to the end)

    def watched(script_main):
        sys.addaudithook(lambda event, arguments: misdeed(event, arguments, log))
        log.write("main\n")
        log.flush()
        run_script(script_main)

    utils.script.run_script = watched
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
