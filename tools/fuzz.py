"""Fuzzes the TinyLSTM kernel with libFuzzer: `make fuzz`, or `python tools/fuzz.py [--seconds N] [--seed S] [--keep]`.

Reader and run under address and undefined-behaviour sanitizers; what is promised beyond that: edge_sdk/native/fuzz/target.c.
Everything found stays in `.toolchain/fuzz`, so that a further run goes on from there; the figures in docs/evaluation/fuzz.json
add up as long as the kernel and the target are the same. `--keep` writes the smallest corpus that reaches the same code to
edge_sdk/native/fuzz/corpus.zip, which a test replays on every engine.

Exit status: 0; 1 where something was found (the file that shows it is named); 3 where there is no clang with libFuzzer.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kernel_bench.emulated import NATIVE, kernel_hash
from kernel_bench.seeds import small_models

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".toolchain" / "fuzz"
REPORT = ROOT / "docs" / "evaluation" / "fuzz.json"
FUZZ = NATIVE / "fuzz"
CORPUS = FUZZ / "corpus.zip"
SECONDS = 600
# Files beyond this hold more of the same; those of the seeds are about 3 KB.
MOST_BYTES = 4096
CALL_WITHIN_S = 25
SANITIZERS = ("-g", "-O1", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all")
STATUS = re.compile(r"^#(\d+)\s+\S+\s+cov: (\d+) ft: (\d+) corp: (\d+)/", re.ASCII)


def clang() -> str | None:
    """The newest clang whose libFuzzer links."""
    for suffix in ("", *(f"-{number}" for number in range(22, 13, -1))):
        program = shutil.which(f"clang{suffix}")
        source = "int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { return d && !n ? 0 : 0; }"
        if program:
            command = [program, "-x", "c", "-fsanitize=fuzzer,address", "-", "-o", "/dev/null"]
            if subprocess.run(command, input=source, text=True, capture_output=True, check=False).returncode == 0:
                return program
    return None


def build(compiler: str, work: Path, native: Path = NATIVE) -> Path:
    """The fuzzer with the kernel inside."""
    program = work / "fuzzer"
    sources = [str(FUZZ / "target.c"), str(native / "tinylstm.c")]
    command = [compiler, *SANITIZERS, "-fsanitize=fuzzer,address,undefined", "-I", str(native), *sources, "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def subject() -> str:
    """16 hex digits over the kernel and the target: figures of another subject are not added up."""
    return hashlib.sha256((kernel_hash() + (FUZZ / "target.c").read_text()).encode()).hexdigest()[:16]


def unpack(folder: Path) -> None:
    """Fills the corpus with what is committed and with small random models."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in [*kept(), *small_models()]:
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)  # noqa: S324 - libFuzzer's own way of naming


def kept(archive: Path = CORPUS) -> list[bytes]:
    """The committed corpus."""
    if not archive.exists():
        return []
    with zipfile.ZipFile(archive) as file:
        return [file.read(name) for name in sorted(file.namelist())]


def pack(folder: Path, archive: Path) -> int:
    """Writes all files of a folder in one archive, the same bytes for the same files. Returns how many."""
    files = sorted(folder.iterdir())
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for path in files:
            file.writestr(zipfile.ZipInfo(path.name, (1980, 1, 1, 0, 0, 0)), path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return len(files)


def fuzz(program: Path, work: Path, *, seconds: int, seed: int) -> dict[str, Any]:
    """Runs the fuzzer for that long, with a line of progress.

    Returns:
        `executions`, `edges`, `features`, `files` of the corpus, `seconds`, `found`: names of files that break the kernel.
    """
    corpus, crashes = work / "corpus", work / "found"
    crashes.mkdir(exist_ok=True)
    settings = {
        "max_total_time": seconds,
        "seed": seed,
        "max_len": MOST_BYTES,
        "timeout": CALL_WITHIN_S,
        "rss_limit_mb": 1500,
        "use_value_profile": 1,
        "dict": FUZZ / "tinylstm.dict",
        "artifact_prefix": f"{crashes}/",
        "reload": 0,
    }
    command = [str(program), *(f"-{name}={value}" for name, value in settings.items()), str(corpus)]
    begin = time.monotonic()
    figures = {"executions": 0, "edges": 0, "features": 0, "files": 0}
    with (
        (work / "fuzz.log").open("w") as log,
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace", cwd=work) as process,
    ):
        with contextlib.suppress(KeyboardInterrupt):
            for line in _with_progress(process, seconds, begin):
                log.write(line)
                if match := STATUS.match(line):
                    figures = dict(zip(figures, map(int, match.groups()), strict=True))
        process.terminate()
        code = process.wait()
    found = sorted(path.name for path in crashes.iterdir())
    if code and not found and time.monotonic() - begin < seconds and code not in {-2, -15}:
        raise SystemExit(f"The fuzzer ended with {code}.\nNext: read {work / 'fuzz.log'}")
    return {**figures, "seconds": round(time.monotonic() - begin), "found": found}


def _with_progress(process: subprocess.Popen[str], seconds: int, begin: float) -> Iterator[str]:
    assert process.stderr is not None
    told = begin
    for line in process.stderr:
        yield line
        now = time.monotonic()
        if (match := STATUS.match(line)) and now - told >= 5:
            told = now
            executions, edges, features, files = match.groups()
            reached = f"{edges} edges  {features} features  {files} kept"
            print(f"{now - begin:5.0f} of {seconds} s  {int(executions):>10,} files offered  {reached}", flush=True)


def lines_reached(compiler: str, work: Path) -> dict[str, int] | None:
    """Lines and branches of the kernel that the corpus reaches, where the compiler's tools of the same version are there."""
    suffix = compiler.rpartition("clang")[2]
    tools = [shutil.which(f"{name}{suffix}") for name in ("llvm-profdata", "llvm-cov")]
    if not all(tools):
        return None
    program, profile = work / "covered", work / "covered.profdata"
    sources = [str(FUZZ / "target.c"), str(NATIVE / "tinylstm.c")]
    instrument = ("-O1", "-g", "-fprofile-instr-generate", "-fcoverage-mapping", "-fsanitize=fuzzer")
    subprocess.run([compiler, *instrument, "-I", str(NATIVE), *sources, "-o", str(program)], check=True)
    raw = work / "covered.profraw"
    environment = {"LLVM_PROFILE_FILE": str(raw), "PATH": "/usr/bin:/bin"}
    subprocess.run([str(program), "-runs=0", str(work / "corpus")], env=environment, capture_output=True, check=True)
    subprocess.run([str(tools[0]), "merge", "-sparse", str(raw), "-o", str(profile)], check=True)
    export = [str(tools[1]), "export", "-summary-only", str(program), f"-instr-profile={profile}", str(NATIVE / "tinylstm.c")]
    totals = json.loads(subprocess.run(export, capture_output=True, text=True, check=True).stdout)["data"][0]["totals"]
    return {
        f"{kind}{part}": totals[kind][key]
        for kind in ("lines", "branches")
        for part, key in (("", "count"), ("_reached", "covered"))
    }


def minimise(program: Path, work: Path, archive: Path = CORPUS) -> int:
    """Keeps the fewest files that reach the same code; what breaks the kernel meanwhile lies in `found`. Returns how many."""
    small, crashes = work / "minimised", work / "found"
    crashes.mkdir(exist_ok=True)
    shutil.rmtree(small, ignore_errors=True)
    small.mkdir()
    # Reached code counts, not how often: else many times as many files.
    settings = ["-merge=1", "-use_counters=0", f"-max_len={MOST_BYTES}", f"-artifact_prefix={crashes}/"]
    command = [str(program), *settings, str(small), str(work / "corpus")]
    done = subprocess.run(command, cwd=work, check=False, capture_output=True, text=True, errors="replace")
    (work / "minimise.log").write_text(done.stderr)
    if done.returncode or not any(small.iterdir()):
        said = f"The corpus could not be minimised ({done.returncode}); the archive stays as it was."
        raise SystemExit(f"{said}\nNext: read {work / 'minimise.log'}")
    return pack(small, archive)


def report(kept_before: dict[str, Any], run: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    """The new report: executions, seconds and seeds add up while the subject stays the same."""
    same = kept_before.get("subject") == about["subject"]
    before = kept_before if same else {}
    return {
        **about,
        "executions": before.get("executions", 0) + run["executions"],
        "seconds": before.get("seconds", 0) + run["seconds"],
        "seeds": [*before.get("seeds", []), run["seed"]],
        **{name: run[name] for name in ("edges", "features", "files", "found")},
    }


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--seed", type=int, help="without it one more than that of the last run")
    parser.add_argument("--keep", action="store_true", help=f"minimise the corpus into {CORPUS.relative_to(ROOT)}")
    parser.add_argument("--json", type=Path, default=REPORT, metavar="FILE")
    options = parser.parse_args()
    compiler = clang()
    if compiler is None:
        print("There is no clang with libFuzzer here.\nNext: `apt install clang-14 libclang-rt-14-dev`", file=sys.stderr)
        return 3
    before = json.loads(options.json.read_text()) if options.json.exists() else {}
    seed = options.seed or max(before.get("seeds", [0])) + 1
    WORK.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(WORK / "found", ignore_errors=True)
    unpack(WORK / "corpus")
    print(f"fuzzing the kernel for {options.seconds} s, seed {seed}; {len(list((WORK / 'corpus').iterdir()))} files to begin with")
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    # Before the run: somebody may change the kernel meanwhile.
    about = {"kernel": kernel_hash(), "subject": subject(), "compiler": version, "sanitizers": "address, undefined"}
    program = build(compiler, WORK)
    run = {"seed": seed, **fuzz(program, WORK, seconds=options.seconds, seed=seed)}
    result = report(before, run, about)
    if not result["found"]:
        result |= lines_reached(compiler, WORK) or {}
    if options.keep:
        result["committed_files"] = minimise(program, WORK)
        result["found"] = sorted(path.name for path in (WORK / "found").iterdir())
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    for name in result["found"]:
        print(f"found: {WORK / 'found' / name}\nNext: {program} {WORK / 'found' / name}", file=sys.stderr)
    return 1 if result["found"] else 0


if __name__ == "__main__":
    sys.exit(main())
