"""One training over several replicas: the same pictures, loss curve and weights as in one process."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from octopix.errors import ConfigError
from train.distribution import Distribution, check_free, find_distribution, share_of, worker_config
from train.weights import read_weights

ROOT = Path(__file__).parents[2]

CLUSTER = {"worker": ["one:5000", "two:5000"]}


def config(cluster=CLUSTER, task="worker", index=0):
    return json.dumps({"cluster": cluster, "task": {"type": task, "index": index}})


@pytest.mark.parametrize("replicas", [1, 2, 3, 6])
def test_shares_are_equal_and_together_the_batch(replicas):
    shares = [np.arange(6)[share_of(replica, replicas, 6)] for replica in range(replicas)]
    assert {len(share) for share in shares} == {6 // replicas}
    assert np.array_equal(np.concatenate(shares), np.arange(6))


@pytest.mark.parametrize(
    ("text", "chief", "workers"),
    [
        (config(), True, 2),
        (config(index=1), False, 2),
        (config({"chief": ["zero:1"], **CLUSTER}), False, 3),
        (config({"chief": ["zero:1"], **CLUSTER}, "chief"), True, 3),
    ],
)
def test_one_process_is_the_chief(text, chief, workers):
    found = worker_config(text)
    assert (found.chief, found.workers) == (chief, workers)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "got none"),
        ("", "got none"),
        ("{", "Invalid JSON"),
        ("[]", "Input should be an object"),
        ("{}", "cluster: Field required; task: Field required"),
        (config({"ps": ["one:5000"]}), r"cluster: ps: Extra inputs"),
        (config({"worker": ["one"]}), "cluster: worker: 0: String should match"),
        (config({"worker": ["one:5000", "one:5000"]}), "two tasks have one address"),
        (config(task="evaluator"), "task: type: Input should be 'chief' or 'worker'"),
        (config(index=2), "the cluster has no worker 2"),
        (config(index=-1), "task: index: Input should be greater"),
    ],
)
def test_a_wrong_cluster_is_said(text, complaint):
    with pytest.raises(ConfigError, match=r"expected TF_CONFIG like") as caught:
        worker_config(text)
    assert complaint in str(caught.value)


def test_an_unknown_distribution_is_said():
    with pytest.raises(ConfigError, match=r"a distribution \(none, mirrored, workers\), got 'both'"):
        find_distribution("both")


def test_a_port_that_is_taken_is_said():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"a free port {port} for this worker, got .*in use"):
            check_free(port)
    check_free(port)
    with pytest.raises(ConfigError, match="a free port 99999"):
        check_free(99999)


class Two(Distribution):
    """As if there were two devices, of two workers whose folders hold other checkpoints."""

    replicas = 2

    def _of_all(self, value):
        return [value, 4]


def test_workers_that_do_not_see_one_folder_are_refused():
    Two().check_same(4, "run")
    with pytest.raises(ConfigError, match="one folder run that all workers see, got checkpoints of steps 0, 4"):
        Two().check_same(0, "run")


def test_what_would_not_train_as_in_one_process_is_refused(recipe):
    Two().check(recipe)
    (first, second) = recipe.stages
    odd = recipe.model_copy(update={"stages": (first, second.model_copy(update={"batch": 3}))})
    with pytest.raises(ConfigError, match="2 replicas can share equally, got a batch of 3"):
        Two().check(odd)
    Distribution().check(odd)


def history(folder):
    lines = (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def assert_the_same_training(ours, theirs):
    """Losses, figures and weights of two folders.

    They are float32 sums of the same numbers, over halves or over the whole batch: they differ in the last of 24 bits
    (6e-8), and Adam, which divides gradients by their own size, may pass that on to weights as a part of its step of
    1e-3. So a thousandth of one step for weights. A wrong share, a sum instead of a mean, or one replica's loss alone
    would be off by whole steps, and by percents of the loss.
    """
    for one, other in zip(history(ours), history(theirs), strict=True):
        assert one["step"] == other["step"]
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert one["psnr"] == pytest.approx(other["psnr"], abs=1e-3)  # dB
    (a, of_a), (b, of_b) = (read_weights(folder / "best.safetensors") for folder in (ours, theirs))
    assert a.keys() == b.keys()
    assert max(np.abs(a[name] - b[name]).max() for name in a) < 1e-6
    assert {**of_a, "validation_psnr": ""} == {**of_b, "validation_psnr": ""}


ON_TWO_DEVICES = """
import sys
from pathlib import Path
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from train.data.degradations import network_pair
from train.data.sources import images_for, locate
from train.distribution import find_distribution
from train.models import find_model
from train.recipe import Recipe
from train.samples import Member
from train.trainer import Trainer
spec = find_model("espcn_x4")
photograph = images_for(locate(None), "train").refs[0].read()[100:164, 100:164]
pairs = [network_pair(photograph, scale=spec.scale, channels=spec.channels)]
recipe = Recipe.model_validate_json(sys.argv[1])
for name in ("none", "mirrored"):
    distribution = find_distribution(name)
    def trainer():
        folder = Path(sys.argv[2]) / name
        return Trainer([Member(spec, pairs, pairs)], recipe, folder, images="one", distribution=distribution)
    list(trainer().run(until=2))
    list(trainer().run())
    print(distribution.replicas)
"""


@pytest.mark.parametrize("form", [{"start": "espcn_x4", "expansion": 64}, {"expansion": 0, "normalized": "features"}])
def test_two_devices_train_as_one_does(recipe, tmp_path, form):
    """Richer convolutions, the running average, a warm start or none, two losses, a stop and a resumption.

    Statistics of half a batch, for batch normalization, would be off by parts of themselves.
    """
    recipe = recipe.model_copy(update=form)
    words = [sys.executable, "-c", ON_TWO_DEVICES, recipe.model_dump_json(), str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "2"]
    assert_the_same_training(tmp_path / "mirrored", tmp_path / "none")


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start_workers(words, count=2):
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(count)]}
    settings = [{**os.environ, "TF_CONFIG": config(cluster, index=index)} for index in range(count)]
    arguments = [sys.executable, "-m", "train", *map(str, words), "--distribute", "workers"]
    return [
        subprocess.Popen(arguments, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for env in settings
    ]


def run_workers(words):
    processes = start_workers(words)
    try:
        return [(*process.communicate(timeout=600), process.returncode) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.timeout(1800)  # several starts of TensorFlow, twice two at a time
def test_two_workers_train_as_one_process_does(recipe, tmp_path):
    recipe = recipe.model_copy(update={"model": "espcn_x2"})
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")), encoding="utf-8")
    words = ("--model", "espcn_x2", "--recipe", path, "--run")
    alone = [sys.executable, "-m", "train", *map(str, words), str(tmp_path / "alone")]
    subprocess.run(alone, cwd=ROOT, check=True, capture_output=True)
    together = tmp_path / "together"
    for extra, last in (("--until", "2"), 2), ((), 6):  # stopped, and resumed
        (chief, other) = run_workers((*words, together, *extra))
        assert [chief[2], other[2]] == [0, 0], chief[1] + other[1]
        assert chief[0].strip() == str(together / "best.safetensors")
        assert other[0] == ""  # it wrote nothing
        assert all(f"step {last:>7}" in said for _, said, _ in (chief, other))
    assert_the_same_training(together, tmp_path / "alone")
    assert sorted(path.stem for path in (together / "checkpoints").glob("*.index")) == ["ckpt-4", "ckpt-6"]
    assert len(list((together / "tensorboard").iterdir())) == 2  # one of each start of the chief's
