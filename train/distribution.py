"""Training on several devices or machines at once, by TensorFlow's own ``tf.distribute``.

Synchronous: every replica has the weights, takes an equal share of each batch, and the mean of all gradients moves
all of them alike. So the number of replicas changes how fast a training is, not what it learns.
"""

import contextlib
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import tensorflow as tf
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError, model_validator

from octopix.errors import ConfigError
from train.recipe import Recipe

GONE = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.InternalError)
"""What TensorFlow raises in a worker when another one is no longer there."""


def share_of(replica: int, replicas: int, batch: int) -> slice:
    """Which pictures of a batch replica number ``replica`` of ``replicas`` takes."""
    size = batch // replicas
    return slice(replica * size, (replica + 1) * size)


@dataclass(frozen=True)
class Distribution:
    """How a training is spread: by default over nothing, one process on one device.

    Model and optimizer are made under ``strategy.scope()``. The methods do nothing where there is one replica.
    """

    strategy: tf.distribute.Strategy = field(default_factory=tf.distribute.get_strategy)
    chief: bool = True
    """Whether this process validates, and writes the run's folder; the other workers only read it."""
    workers: int = 1
    """Processes that take part."""

    @property
    def replicas(self) -> int:
        """Copies of the network that train, over all processes."""
        return int(self.strategy.num_replicas_in_sync)

    def check(self, recipe: Recipe) -> None:
        """Refuse what would not train as in one process.

        Raises:
            ConfigError: a batch that has no equal shares.
        """
        for stage in recipe.stages:
            if stage.batch % self.replicas:
                raise ConfigError(
                    expected=f"batches that {self.replicas} replicas can share equally",
                    got=f"a batch of {stage.batch}",
                    do="correct `batch` of the recipe, or train on another number of devices",
                )

    def shares(self, batch: tf.Tensor) -> Any:
        """The batch as this process's replicas get it; every process draws the whole of it."""
        if self.replicas == 1:
            return batch

        def own(context: tf.distribute.experimental.ValueContext) -> tf.Tensor:
            return batch[share_of(context.replica_id_in_sync_group, self.replicas, batch.shape[0])]

        return self.strategy.experimental_distribute_values_from_function(own)

    def mean(self, compute: Callable[..., tf.Tensor], *shares: Any) -> tf.Tensor:
        """Run ``compute`` on each replica's share; the mean of what all replicas return."""
        found = self.strategy.run(compute, args=shares)
        return self.strategy.reduce(tf.distribute.ReduceOp.MEAN, found, axis=None)

    def averaged(self, gradients: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        """The mean of all replicas' gradients; called in each of them."""
        if self.replicas == 1:
            return gradients
        context = tf.distribute.get_replica_context()
        averaged: Sequence[tf.Tensor] = context.all_reduce(tf.distribute.ReduceOp.MEAN, gradients)
        return averaged

    def of_chief(self, compute: Callable[[], float]) -> float:
        """What ``compute`` returns in the chief, which alone calls it; the others wait for it."""
        return self._of_all(compute() if self.chief else 0.0)[0]

    def wait(self) -> None:
        """Go on when all processes have come here."""
        self._of_all(0.0)

    def check_same(self, step: int, where: str) -> None:
        """Refuse to go on from different states.

        Raises:
            ConfigError: the workers do not see the same folder.
        """
        steps = {int(other) for other in self._of_all(step)}
        if len(steps) > 1:
            raise ConfigError(
                expected=f"one folder {where} that all workers see",
                got=f"checkpoints of steps {', '.join(map(str, sorted(steps)))}",
                do="name a folder on a file system that they share with --run",
            )

    def _of_all(self, value: float) -> list[float]:
        """This process's value, and those of all others, in the order of the replicas; the chief's is the first."""
        if self.workers == 1:
            return [value]

        def own() -> tf.Tensor:
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            return tf.one_hot(number, self.replicas, on_value=tf.cast(value, tf.float64), dtype=tf.float64)

        with self.together():
            found = self.strategy.reduce(tf.distribute.ReduceOp.SUM, self.strategy.run(own), axis=None)
        return [float(one) for one in np.asarray(found)]

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Say in a ConfigError that another worker is gone, where TensorFlow's error says how it noticed."""
        try:
            yield
        except GONE as error:
            if self.workers == 1:
                raise
            raise ConfigError(
                expected=f"{self.workers} workers that train together",
                got="one that is gone",
                do="see what it said, and start all of them again: they go on at the last validation",
            ) from error


Address = Annotated[str, Field(pattern=r"^\S+:\d+$")]


class Cluster(BaseModel):
    """Who takes part: ``host:port`` of each. Where no chief is named, the first worker is it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    chief: tuple[Address, ...] = Field(default=(), max_length=1)
    worker: tuple[Address, ...] = ()


class Task(BaseModel):
    """Which of them this process is."""

    model_config = ConfigDict(frozen=True)

    type: Literal["chief", "worker"]
    index: NonNegativeInt


class WorkerConfig(BaseModel):
    """What the environment variable ``TF_CONFIG`` says, in the form that TensorFlow documents."""

    model_config = ConfigDict(frozen=True)

    cluster: Cluster
    task: Task

    @model_validator(mode="after")
    def _check(self) -> "WorkerConfig":
        addresses = (*self.cluster.chief, *self.cluster.worker)
        if len(set(addresses)) < len(addresses):
            raise ValueError("two tasks have one address")
        if self.task.index >= len(getattr(self.cluster, self.task.type)):
            raise ValueError(f"the cluster has no {self.task.type} {self.task.index}")
        return self

    @property
    def chief(self) -> bool:
        """Whether this process is the chief."""
        return self.task.type == "chief" or not (self.cluster.chief or self.task.index)

    @property
    def port(self) -> int:
        """Where this process listens to the others."""
        address: str = getattr(self.cluster, self.task.type)[self.task.index]
        return int(address.rpartition(":")[2])

    @property
    def workers(self) -> int:
        """Processes in the cluster."""
        return len(self.cluster.chief) + len(self.cluster.worker)


def worker_config(text: str | None) -> WorkerConfig:
    """Read ``TF_CONFIG``.

    Raises:
        ConfigError: missing, or not what TensorFlow would understand.
    """
    example = '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}'
    expected, do = f"TF_CONFIG like {example}", "set it in the environment of each worker, with its own index"
    if not text:
        raise ConfigError(expected=expected, got="none", do=do)
    try:
        return WorkerConfig.model_validate_json(text)
    except ValidationError as error:
        problems = "; ".join(": ".join((*map(str, item["loc"]), item["msg"])) for item in error.errors())
        raise ConfigError(expected=expected, got=f"{text} ({problems})", do=do) from error


def check_free(port: int) -> None:
    """Refuse a port that is taken, before TensorFlow does: after that, its process would not end.

    Raises:
        ConfigError: something listens there, or there is no such port.
    """
    try:
        socket.create_server(("", port)).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            expected=f"a free port {port} for this worker", got=str(error), do="name another one in TF_CONFIG"
        ) from error


def alone() -> Distribution:
    """One process, one device."""
    return Distribution()


def mirrored() -> Distribution:
    """One process on all GPUs of this machine; on its CPU where there is none."""
    # TensorFlow's own default would be the devices of TF_CONFIG's cluster.
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return Distribution(tf.distribute.MirroredStrategy([device.name for device in devices]))


def workers() -> Distribution:
    """One of the processes that ``TF_CONFIG`` names, when all of them are there.

    TensorFlow wants this before anything else is asked of it.

    Raises:
        ConfigError: TF_CONFIG is missing or malformed, or the cluster does not come about.
    """
    config = worker_config(os.environ.get("TF_CONFIG"))
    check_free(config.port)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError) as error:
        raise ConfigError(
            expected=f"a cluster of {config.workers} workers",
            got=str(error).splitlines()[0],
            do="correct TF_CONFIG; all workers must be within reach",
        ) from error
    return Distribution(strategy, chief=config.chief, workers=config.workers)


DISTRIBUTIONS: dict[str, Callable[[], Distribution]] = {"none": alone, "mirrored": mirrored, "workers": workers}


def find_distribution(name: str) -> Distribution:
    """Set up the distribution ``name``.

    Raises:
        ConfigError: unknown, or it cannot be set up here.
    """
    if name not in DISTRIBUTIONS:
        raise ConfigError(
            expected=f"a distribution ({', '.join(DISTRIBUTIONS)})", got=repr(name), do="correct --distribute"
        )
    return DISTRIBUTIONS[name]()
