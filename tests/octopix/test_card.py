"""Cards inside `.tflite` files: what comes back, what is refused, and which hash stays when a card changes."""

import dataclasses
import hashlib
import json

import pytest
import tf_keras

from octopix.card import (
    CARD_BLOCK,
    METADATA_NAME,
    Calibration,
    ModelCard,
    Quality,
    card_block,
    file_sha256,
    find_card,
    graph_sha256,
    read_card,
)
from octopix.errors import ModelFileError
from octopix.graph import constant, read_graph
from quantize.embed import embed_card, rewritten


@pytest.fixture(scope="module")
def bare(to_tflite) -> bytes:
    """A model without a card, with a layer whose name is that of the card's metadata."""
    image = tf_keras.Input((None, None, 1))
    return to_tflite(tf_keras.Model(image, tf_keras.layers.Conv2D(4, 3, name=METADATA_NAME, padding="same")(image)))


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return ModelCard(
        model="espcn_x4",
        scheme="int8-ptq-mse",
        task="super-resolution",
        scale=4,
        channels="y",
        multiple_of=1,
        receptive_field=9,
        corrections=("bias",),
        calibration=Calibration(calibrator="mse", images=64, sha256="ab" * 32, source="photographies d’été"),
        validation=Quality("Set5", 5, "y", psnr_float=30.61, psnr=30.57, fidelity=48.5),
        versions={"tensorflow": "2.21.0"},
        created="2026-11-21",
    )


def with_text(bare: bytes, text: bytes) -> bytes:
    """A model whose metadata called `octopix.card` holds ``text``."""
    from tensorflow.lite.python import schema_py_generated as tflite

    def edit(unpacked):
        buffer, entry = tflite.BufferT(), tflite.MetadataT()
        buffer.data, entry.name, entry.buffer = list(text), METADATA_NAME, len(unpacked.buffers)
        unpacked.buffers.append(buffer)
        unpacked.metadata.append(entry)

    return rewritten(bare, edit)


def test_a_card_comes_back_as_it_was(bare, card, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(embed_card(bare, card))

    assert read_card(path) == read_card(path.read_bytes()) == find_card(path) == card
    assert read_card(path).validation.drop == pytest.approx(0.04)


def test_a_model_without_a_card(bare, tmp_path):
    path = tmp_path / "bare.tflite"
    path.write_bytes(bare)

    assert find_card(path) is None
    with pytest.raises(ModelFileError, match=r"without a card in .*bare\.tflite; run it through `make quantize`"):
        read_card(path)
    assert graph_sha256(path) == file_sha256(path) == hashlib.sha256(bare).hexdigest()


def test_the_block_is_whole_and_there_once(bare, card):
    content = embed_card(bare, card)
    block = card_block(card)

    assert len(block) == CARD_BLOCK
    assert content.count(block) == 1
    assert content.endswith(block)
    assert read_graph(content).metadata[METADATA_NAME] == block


def test_the_hash_is_the_networks(bare, card):
    """Also when the new card needs more blocks than the old one."""
    short = embed_card(bare, card)
    other = embed_card(short, dataclasses.replace(card, scheme="float32", validation=None))
    long = embed_card(short, dataclasses.replace(card, training="x" * CARD_BLOCK))

    assert len(long) == len(short) + CARD_BLOCK
    assert graph_sha256(short) == graph_sha256(other) == graph_sha256(long)
    assert len({file_sha256(each) for each in (short, other, long)}) == 3


def test_every_byte_outside_of_the_card_counts(bare, card):
    content = embed_card(bare, card)
    graph = read_graph(content)
    kernel = constant(graph.tensors[graph.operators[0].inputs[1]]).tobytes()
    changed = bytearray(content)
    changed[content.index(kernel)] ^= 1

    assert graph_sha256(bytes(changed)) != graph_sha256(content)
    assert read_card(bytes(changed)) == card


def test_a_copy_of_the_card_elsewhere_is_not_taken_for_it(bare, card):
    """The block is found by its place in the file: here the description holds the same text."""

    def describe(unpacked):
        unpacked.description = card_block(card)

    first = embed_card(rewritten(bare, describe), card)
    second = embed_card(first, dataclasses.replace(card, scheme="float32"))

    assert first.count(card_block(card)) == 2
    assert second.count(card_block(card)) == 1
    assert graph_sha256(first) == graph_sha256(second)
    assert read_card(second).scheme == "float32"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"no json", "no card"),
        (b"\xff\xfe", "no card"),
        (b"[1, 2]", "no card"),
        (b"[" * CARD_BLOCK * 4, "no card"),
        (b'{"card_version": 1, "scale": Infinity}', "no card"),
        (b'{"card_version": 99}', "card version 99"),
        (b'{"card_version": 1, "model": "m"}', "fields that do not fit"),
    ],
)
def test_what_is_no_card_is_refused(text, complaint, bare):
    with pytest.raises(ModelFileError, match=complaint):
        find_card(with_text(bare, text))


@pytest.mark.parametrize(
    "change",
    [
        {"scale": 0},
        {"scale": "4"},
        {"scale": True},
        {"channels": "bgr"},
        {"task": "classification"},
        {"multiple_of": -1},
        {"extra": 1},
        {"value_range": ["a"]},
        {"value_range": [0, "a"]},
        {"corrections": [1]},
        {"calibration": {"calibrator": "mse", "images": "64", "sha256": "ab", "source": "here"}},
        {"validation": {"image_set": "Set5", "images": 5, "protocol": "y", "psnr_float": 30, "psnr": "x"}},
        {"versions": {"tensorflow": 2}},
        {"model": 7},
        {"model": "../../evil"},
        {"model": ".hidden"},
        {"scheme": ""},
        {"scheme": "int8\n"},
    ],
    ids=str,
)
def test_facts_that_cannot_be_relied_on_are_refused(change, bare, card):
    text = json.dumps(json.loads(card.to_json()) | change).encode()

    with pytest.raises(ModelFileError, match=next(iter(change))):
        find_card(with_text(bare, text))


def test_two_cards_are_refused(bare, card):
    with pytest.raises(ModelFileError, match="2 entries"):
        find_card(with_text(with_text(bare, card_block(card)), card_block(card)))


def test_a_file_cut_anywhere_is_refused(bare, card):
    content = embed_card(bare, card)
    for length in range(0, len(content), 11):
        with pytest.raises(ModelFileError):
            read_card(content[:length])
