"""Starts real processes on ports the kernel chooses and checks what users would see.

    Tests/run --list                        the checks by topic; a topic is a file of this folder
    Tests/run --only cache a_good_canary_gets_everything
"""
import argparse
import shutil
import sys

import checks
import processes

parser = argparse.ArgumentParser(description="Runs integration checks.")
parser.add_argument("--binaries", default=".build/debug", help="the folder with sluice and sluice-model")
parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="checks, or topics: all checks of a file")
parser.add_argument("--list", action="store_true", help="prints the checks by topic and ends")
parser.add_argument("--find", action="store_true", help="only says whether the names of --only are known")
parser.add_argument("--minutes", type=float, default=0, help="how long `chaos` goes on; by default each fault once")
parser.add_argument("--mlserver", metavar="PROGRAM", help="MLServer's program; without it its check is left out")
options = parser.parse_args()
found = checks.topics()
if options.mlserver:
    runtimes = sys.modules["runtimes"]
    runtimes.PROGRAM = options.mlserver
    found["runtimes"] = [*found["runtimes"], runtimes.every_client_gets_what_mlserver_says]
if options.list:
    for topic, functions in found.items():
        print(topic, *(f"    {function.__name__}" for function in functions), sep="\n")
    sys.exit()
try:
    chosen = checks.choose(options.only, found)
except checks.Unknown as error:
    sys.exit(str(error))
if options.find:
    sys.exit()
processes.use(options.binaries)
sys.modules["chaos"].MINUTES = options.minutes
failures = checks.run(chosen, checks.LIMIT + int(options.minutes * 60))
if not failures:
    shutil.rmtree(processes.folder, ignore_errors=True)
sys.exit(1 if failures else 0)
