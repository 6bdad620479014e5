"""Job scripts for Slurm: an array of shards, then one job that finishes what is missing and draws."""

import shlex

from physlearn.inputs import InputError, integer, reject

_ARRAY = """\
#!/bin/bash
# {what} in {shards} shards, which share a directory. Submit it again to go on where time ran out.
#SBATCH --job-name={name}
#SBATCH --array=1-{shards}
#SBATCH --cpus-per-task={cpus}
#SBATCH --mem={memory}
#SBATCH --time={time}
#SBATCH --output={name}-%A_%a.log
# Ask for a signal two minutes before the end: what is finished is in the journal anyway.
#SBATCH --signal=B:TERM@120
set -eu
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
srun {command} \\
    --shard "$SLURM_ARRAY_TASK_ID/{shards}" --jobs "$SLURM_CPUS_PER_TASK" --max-runtime {runtime} --no-progress &
job=$!
trap 'kill -TERM "$job"' TERM
wait "$job" || wait "$job" # the first one returns when the signal comes, the second when the shard has ended
"""
_FINISH = """\
#!/bin/bash
# {what}: what its shards have left, then theory, table and figure.
# Submit it after them: sbatch --dependency=afterany:ARRAY_JOB_ID FILE
#SBATCH --job-name={name}-finish
#SBATCH --cpus-per-task={cpus}
#SBATCH --mem={memory}
#SBATCH --time={time}
#SBATCH --output={name}-finish-%j.log
set -eu
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
srun {command} \\
    --jobs "$SLURM_CPUS_PER_TASK" --max-runtime {runtime} --no-progress
"""


def job_script(
    command: list[str],
    name: str,
    *,
    shards: int = 20,
    cpus: int = 1,
    memory: str = "4G",
    time: str = "04:00:00",
    finish: bool = False,
) -> str:
    """A bash script for ``sbatch``.

    Parameters
    ----------
    command : list of str
        What runs the study, without the number of jobs.
    name : str
        Of the job.
    shards, cpus : int
        Length of the array, and workers in each of its jobs.
    memory, time : str
        As Slurm takes them: "4G", "04:00:00" or "1-12:00:00".
    finish : bool
        The job after the array, instead of the array.
    """
    integer("shards", shards, at_least=1, at_most=100_000)
    integer("cpus", cpus, at_least=1, at_most=1024)
    if not (memory[:-1].isascii() and memory[:-1].isdecimal()) or memory[-1:] not in tuple("KMGT"):
        raise reject("memory", memory, "a number with K, M, G or T, such as 4G")
    # Five minutes before the end of the job nothing new is begun; short jobs keep half of their time.
    total = seconds(time)
    name = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)
    fields = {
        "what": f"The study {name}",
        "command": shlex.join(command),
        "name": name,
        "shards": shards,
        "cpus": cpus,
        "memory": memory,
        "time": time,
        "runtime": max(total - 300, total // 2),
    }
    return (_FINISH if finish else _ARRAY).format(**fields)


def seconds(time: str) -> int:
    """Slurm's [days-]hours:minutes:seconds in seconds."""
    days, dash, clock = time.rpartition("-")
    parts = clock.split(":")
    if len(parts) != 3 or not all(map(_is_number, [*parts, *([days] if dash else [])])):
        raise InputError(f"time: got {time}; allowed: HH:MM:SS or D-HH:MM:SS.")
    hours, minutes, rest = map(int, parts)
    total = ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + rest
    if total == 0 or minutes > 59 or rest > 59:
        raise reject("time", time, "a time above zero, as HH:MM:SS or D-HH:MM:SS")
    return total


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()
