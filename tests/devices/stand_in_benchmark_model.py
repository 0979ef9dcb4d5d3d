"""Stands in for both programs named benchmark_model: takes their flags, runs the network, writes what they write.

``FLAVOUR`` is set by the test that installs it. ``knobs.json`` beside it says what happens on the "GPU", and which
flags this "build" lacks.
"""

import json
import struct
import sys
import time
from pathlib import Path

FLAVOUR = "classic"
BASE = ("num_runs", "min_secs", "max_secs", "warmup_runs", "warmup_min_secs", "num_threads", "graph", "help")
BASE += ("report_peak_memory_footprint", "result_file_path", "use_gpu")
FLAGS = {
    "classic": (*BASE, "input_layer", "input_layer_shape", "input_layer_value_files", "output_filepath", "use_xnnpack"),
    "litert": (*BASE, "use_cpu", "use_npu", "require_full_delegation", "signature_to_run_for"),
}


def say(text: str) -> None:
    (sys.stderr if FLAVOUR == "litert" else sys.stdout).write(f"INFO: {text}\n")


def fail(text: str) -> None:
    sys.stderr.write(f"ERROR: {text}\nERROR: Benchmarking failed.\n")
    sys.exit(1)


def main() -> None:
    file = Path(__file__).parent / "knobs.json"
    knobs = json.loads(file.read_text()) if file.exists() else {}
    known = [name for name in FLAGS[FLAVOUR] if name not in knobs.get("lacks", ())]
    flags = dict(word[2:].split("=", 1) for word in sys.argv[1:])
    say("STARTING!")
    if flags.get("help") == "true":
        listed = "".join(f"\t--{name}=\tstring\toptional\tsee --graph\n" for name in known)
        fail(f"usage: {sys.argv[0]} <flags>\nFlags:\n{listed}")
    unknown = [f"--{name}={value}" for name, value in flags.items() if name not in known]
    if unknown:
        sys.stderr.write(f"WARN: Unconsumed cmdline flags: {' '.join(unknown)}\n")
    time.sleep(knobs.get("hang", 0))
    run({name: value for name, value in flags.items() if name in known}, knobs)


def run(flags: dict[str, str], knobs: dict[str, object]) -> None:
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    delegate(flags, str(knobs.get("gpu", "fail")))
    start = time.perf_counter()
    interpreter = Interpreter(str(Path(flags["graph"])), num_threads=int(flags["num_threads"]))
    given = interpreter.get_input_details()[0]
    if "input_layer_shape" in flags:
        if flags["input_layer"] != given["name"]:
            fail(f"Not able to find input {flags['input_layer']}")
        interpreter.resize_tensor_input(given["index"], [int(side) for side in flags["input_layer_shape"].split(",")])
    interpreter.allocate_tensors()
    shape = interpreter.get_input_details()[0]["shape"]
    init_us = (time.perf_counter() - start) * 1e6
    value = np.zeros(shape, given["dtype"])
    if "input_layer_value_files" in flags:
        name, _, path = flags["input_layer_value_files"].rpartition(":")
        if name.replace("::", ":") != given["name"]:
            fail(f"Wrong input value file item specified: {flags['input_layer_value_files']}")
        value = np.frombuffer(Path(path).read_bytes(), given["dtype"]).reshape(shape)
    interpreter.set_tensor(given["index"], value)
    warm = timed(interpreter, int(flags.get("warmup_runs", 1)))
    runs = timed(interpreter, int(flags.get("num_runs", 50)))
    report(flags, init_us, warm or runs, runs)
    if "output_filepath" in flags:
        output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        if knobs.get("garble"):
            output = output[:, ::-1]
        Path(flags["output_filepath"]).write_bytes(np.ascontiguousarray(output).tobytes())


def delegate(flags: dict[str, str], gpu: str) -> None:
    if flags.get("use_gpu") != "true":
        if FLAVOUR == "litert":
            say("Created TensorFlow Lite XNNPACK delegate for CPU.")
        else:
            say("Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate.")
    elif gpu == "fail" or (FLAVOUR == "litert" and gpu != "completely"):
        fail("Failed to compile model." if FLAVOUR == "litert" else "Failed to apply GPU delegate.")
    elif FLAVOUR == "classic":
        shares = {
            "completely": "Explicitly applied GPU delegate, and the model graph will be completely executed by the "
            "delegate.",
            "partially": "Explicitly applied GPU delegate, and the model graph will be partially executed by the "
            "delegate w/ 2 delegate kernels.",
            "not": "Though GPU delegate is explicitly applied, the model graph will not be executed by the delegate.",
        }
        say(shares[gpu])


def timed(interpreter, count: int) -> list[float]:  # type: ignore[no-untyped-def]
    """Microseconds of each run."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        interpreter.invoke()
        times.append((time.perf_counter() - start) * 1e6)
    return times


def report(flags: dict[str, str], init_us: float, warm: list[float], runs: list[float]) -> None:
    ordered = sorted(runs)
    average, median = sum(runs) / len(runs), ordered[len(ordered) // 2]
    for times in (warm, runs):
        say(
            f"count={len(times)} first={times[0]:.0f} curr={times[-1]:.0f} min={min(times):.0f} max={max(times):.0f}"
            f" avg={sum(times) / len(times):.6g} std=1 p5={min(times):.0f} median={median:.0f} p95={max(times):.0f}"
        )
    peak = 35.25 if flags.get("report_peak_memory_footprint") == "true" else 0
    if FLAVOUR == "classic":
        say(
            f"Inference timings in us: Init: {init_us:.0f}, First inference: {warm[0]:.0f}, "
            f"Warmup (avg): {sum(warm) / len(warm):.6g}, Inference (avg): {average:.6g}"
        )
        if peak:
            say(f"Overall peak memory footprint (MB) via periodic monitoring: {peak}")
    else:
        say(f"Model initialization: {init_us / 1000:.2f} ms")
        say(f"Inference (avg):      {average / 1000:.2f} ms ({len(runs)} runs)")
    if "result_file_path" in flags:
        latency = (average, min(runs), max(runs), 1.0, median, ordered[0], ordered[-1], init_us, warm[0], warm[0])
        parts = [
            (2, b"".join(number(field, value / 1000) for field, value in enumerate(latency, 1))),
            (3, number(3, peak) if peak else b""),
            (4, bytes([2 << 3, len(runs), 3 << 3, len(warm)])),
        ]
        content = b"".join(bytes([field << 3 | 2, len(part)]) + part for field, part in parts)
        Path(flags["result_file_path"]).write_bytes(content)


def number(field: int, value: float) -> bytes:
    return bytes([field << 3 | 5]) + struct.pack("<f", value)


if __name__ == "__main__":
    main()
