"""The workshop itself: what a broken check tells, and commands and files that documents name.

Links, and the rows of metrics and configuration keys, are looked at by Swift tests (`ManualTests`,
`ConfigurationReferenceTests`).

    Tests/run --only workshop
"""
import pathlib
import re
import shutil
import subprocess
import sys

import yaml

import checks
import processes

ROOT = pathlib.Path(__file__).resolve().parents[2]

BROKEN = """
import os, sys, threading
sys.path.insert(0, {here!r})
import checks, processes
processes.use({binaries!r})

def a_broken_check():
    backend = processes.model()
    proxy = processes.gateway(processes.config([processes.one("iris", backend.address)],
                                               "cache: {{redis: {{url: 'redis://shop:lockpick@127.0.0.1:1'}}}}"))
    with open(processes.folder + "/left", "w") as file:
        file.write(f"{{proxy.child.pid}} {{processes.spawn(['sh', '-c', 'sleep 600', '--requirepass', 'skeletonkey']).pid}}")
    threading.Thread(target=threading.Event().wait).start()
    backend.stop()
    assert proxy.address == "another", "the cause in a sentence"

def a_check_that_hangs():
    threading.Event().wait()

def a_check_that_dies():
    os.abort()

@checks.patient
def a_patient_one():
    print("      patience")

def the_next_one():
    for process in open(processes.folder + "/left").read().split():
        assert not os.path.exists(f"/proc/{{process}}"), "a broken check's process is still there"

sys.exit(checks.run([a_patient_one, a_broken_check, a_check_that_dies, the_next_one]) * 10 + checks.run([a_check_that_hangs], limit=1))
"""


def a_broken_check_tells_cause_and_logs_and_leaves_nothing():
    script = BROKEN.format(here=str(checks.HERE), binaries=str(pathlib.Path(processes.SLUICE).parent))
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    said = result.stdout
    for kept in set(re.findall("files are kept in (.*)", said)):
        shutil.rmtree(kept)
    assert result.returncode == 21, (said, result.stderr)
    for wanted in ("FAIL  a_broken_check  (", "AssertionError: the cause in a sentence",
                   "2 failed\n", "again: Tests/run --only a_broken_check a_check_that_dies\n", "ok    the_next_one  (", "      patience\nok    a_patient_one  (",
                   # The gateway runs, and the model was told to end.
                   "serve --config ", " runs\n", " was ended by SIGTERM\n", "/sluice.yaml:\n", "    | accessLog: access.log\n", "    |   - {name: iris, ",
                   r"admin listening address=127.0.0.1:", "its output was read by the check",
                   "FAIL  a_check_that_dies: its process was ended by SIGABRT", "Overdue: not over after 1 s"):
        assert wanted in said, f"{wanted!r} is not in:\n{said}"
    assert "lockpick" not in said and "skeletonkey" not in said and "redis://…@127.0.0.1:1" in said, said


def commands_in_documents_name_checks():
    found, seen = checks.topics(), 0
    for path in sorted([*(path for path in checks.HERE.glob("*.py") if path.name != "workshop.py"), *ROOT.glob("*.md"), *ROOT.glob("[.A-Z]*/**/*.md")]):
        if ".build" in path.parts[len(ROOT.parts)]:
            continue
        for names in re.findall(r"(?:Tests/run|run\.py)(?: --binaries \S+)? --only ((?:[\w.*]+ ?)+)", path.read_text()):
            for name in names.split():
                # A filter of Swift tests, which the runner of Swift tests looks for.
                if "." in name or name[0].isupper():
                    continue
                seen += 1
                assert checks.choose([name], found), name
    assert seen > 20, f"only {seen} commands found; have they changed shape?"
    # Each topic says how it is run.
    silent = [topic for topic in found if "Tests/run --only " not in (sys.modules[topic].__doc__ or "")]
    assert not silent, f"the first lines of {silent} do not say how the checks are run"


def every_benchmark_is_described():
    folder = ROOT / "Benchmarks"
    text = (folder / "README.md").read_text()
    files = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    named = set(re.findall(r"`(?:Benchmarks/)?([\w./-]+)", text))
    missing = [name for name in files if name != "README.md" and name not in named]
    assert not missing, f"Benchmarks/README.md does not name {missing}"
    # Options that are shown are options that there are.
    for script, options in re.findall(r"`Benchmarks/([\w/]+)((?: \[--[^`]+)?)`", text):
        source = (folder / script).read_text()
        for option in re.findall(r"--[\w-]+", options):
            assert f'"{option}"' in source, f"Benchmarks/{script} has no {option}"


def files_that_documents_name_exist():
    """Paths from the root of the repository in README, the manual, .github and the guides for contributors."""
    # Decisions tell of the day they were made.
    articles = [path for path in (ROOT / "Sources").glob("*/*.docc/**/*.md") if path.parent.name != "Decisions"]
    assert len(articles) > 30, f"only {len(articles)} articles found"
    for path in (*sorted((ROOT / ".github").rglob("*.*")), ROOT / "Benchmarks/README.md", ROOT / "README.md", *sorted(articles)):
        text = path.read_text()
        if path.suffix == ".yml":
            yaml.safe_load(text)
        for name in re.findall(r"(?<![\w./])\.?/?((?:Sources|Tests|Benchmarks|docker|\.github)/[\w./+-]*\w)", text):
            assert (ROOT / name).exists(), f"{path.relative_to(ROOT)} names {name}, which isn't there"
    # One image builds everywhere.
    image = re.search(r"FROM (swift:\S+)", (ROOT / "docker/Dockerfile").read_text())[1]
    job = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())["jobs"]["tests"]
    assert job["container"] == image, f"the workflow runs in {job['container']}, docker/Dockerfile builds in {image}"
    assert {"run": "./Tests/run"} in job["steps"], job["steps"]


CHECKS = [a_broken_check_tells_cause_and_logs_and_leaves_nothing, commands_in_documents_name_checks, every_benchmark_is_described,
          files_that_documents_name_exist]
