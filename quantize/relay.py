"""An int8 model's run on some images, leg by leg: as far as one layer, and, once that has new weights, on to the next.

What layers in turn change lies ahead of what they have seen: nothing in front of a layer is computed twice.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy.typing as npt

from octopix.crew import in_order
from octopix.graph import Graph, read_graph
from octopix.latency import available_cores
from octopix.runtime import Session, open_session
from quantize.embed import rewritten

Array = npt.NDArray[Any]

Maker = tuple[int, int]
"""Of a tensor: an operator's number and which of its outputs it is; of the graph's input, `GIVEN`.

The quantizer may number tensors differently when constants change; operators keep their order.
"""

GIVEN = (-1, 0)


class Relay:
    """What layers of an int8 model read, one after the other in the order of execution.

    Of every image it holds the tensors that are still to be read, a byte per value: those that a leg ends with, and
    what shortcuts carry past it.

    Args:
        images: uint8 (1, H, W, C), one size.
    """

    def __init__(self, images: Sequence[Array]) -> None:
        self.images = images
        self._reached = 0
        self._held: list[Mapping[Maker, Array]] = [{GIVEN: image} for image in images]

    def read_by(self, int8_model: bytes, operator: int) -> list[Array]:
        """What an operator reads first, by its number: stored integers, (1, h, w, c), for each image.

        Args:
            int8_model: as before in front of the operator of the last call; from there on it may be another.
            operator: that of the last call, or one that runs after it.
        """
        assert operator >= self._reached  # what it reads may be gone
        graph = read_graph(int8_model)
        made = _makers(graph)
        if operator > self._reached:
            self._run(int8_model, graph, made, operator)
        wanted = made[graph.operators[operator].inputs[0]]
        return [held[wanted] for held in self._held]

    def _run(self, model: bytes, graph: Graph, made: Mapping[int, Maker], stop: int) -> None:
        """Take the images on to an operator; hold what is read from there on."""
        numbers = {maker: index for index, maker in made.items()}
        leg = graph.operators[self._reached : stop]
        later = {made[index] for each in graph.operators[stop:] for index in each.inputs if index in made}
        later.update(made[index] for index in graph.outputs)
        fresh = {(each.index, place) for each in leg for place, _ in enumerate(each.outputs)}
        read = {made[index] for each in leg for index in each.inputs if index in made} - fresh
        taken, given = sorted(read), sorted(later & fresh)
        ends = ([numbers[maker] for maker in side] for side in (taken, given))
        part = _part(model, slice(self._reached, stop), *ends)
        before, self._held = self._held, []

        def carry(session: Session, number: int, held: Mapping[Maker, Array]) -> dict[Maker, Array]:
            new = session.run([held[maker] for maker in taken])
            kept = {maker: values for maker, values in held.items() if maker in later}
            return kept | dict(zip(given, new, strict=True))

        workers = min(available_cores(), len(before))
        self._held = [*in_order(_given_up(before), workers=workers, make=lambda: open_session(part), work=carry)]
        self._reached = stop


def _given_up(held: list[Mapping[Maker, Array]]) -> Iterator[Mapping[Maker, Array]]:
    """Each in turn, and out of the list: those in front and those behind a leg are not all held at a time."""
    while held:
        yield held.pop(0)


def _makers(graph: Graph) -> dict[int, Maker]:
    """Of every tensor that is computed, and of the input."""
    made = {index: (each.index, place) for each in graph.operators for place, index in enumerate(each.outputs)}
    return made | {graph.inputs[0]: GIVEN}


def _part(model: bytes, kept: slice, taken: Sequence[int], given: Sequence[int]) -> bytes:
    """Some operators of a model as a model.

    It states the sizes that the whole model states, not the images', since constants inside may state them, too: the
    runtime opens both at these and resizes them.

    Args:
        model: ``.tflite``, of a stated size.
        kept: operators, from one number to another.
        taken: its inputs, tensor numbers.
        given: its outputs, tensor numbers.
    """

    def edit(unpacked: Any) -> None:
        part = unpacked.subgraphs[0]
        part.operators = part.operators[kept]
        part.inputs, part.outputs = taken, given
        unpacked.signatureDefs = None

    return rewritten(model, edit)
