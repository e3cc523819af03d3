"""examples/train.py trains, evens the load out and draws it. With few steps, and a rate of the bias that suits them."""

import re
import xml.etree.ElementTree as ElementTree

import pytest
import torch

from tests.programs import ROOT, launch, start

TRAIN = ROOT / "examples" / "train.py"
COLUMNS = ("first loss", "last loss", "first load", "last load")  # the load is that of the busiest expert


def images(picture):
    return list(ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}image"))


@pytest.mark.parametrize("device", ["cpu", "npu"])
def test_training_evens_the_load_out(device, tmp_path):
    picture = tmp_path / "train.svg"
    options = ["--device", device, "--steps", 25, "--bias-rate", 0.03, "--picture", picture]
    printed = launch(TRAIN, *options)
    rows = re.findall(r"^(without|with) update_bias +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)$", printed, re.MULTILINE)
    assert [row[0] for row in rows] == ["without", "with"]
    without, with_update = (dict(zip(COLUMNS, map(float, row[1:]), strict=True)) for row in rows)
    assert without["last loss"] < without["first loss"] - 1
    assert with_update["last loss"] < with_update["first loss"] - 1
    assert without["last load"] > without["first load"] > 1.5  # training alone makes it worse
    assert with_update["last load"] < 1.5
    assert "25 steps, bias rate 0.03" in printed  # no bar, where there is no terminal
    assert "\r" not in printed
    assert printed.endswith("the loss fell: yes, the load evened out: yes\n")
    assert len(images(picture)) == 3


def test_without_torch_npu_and_with_a_load_that_stays_uneven():
    options = ["--device", "cpu", "--steps", 5, "--bias-rate", 0]
    result = start([TRAIN, *options], TORCH_DEVICE_BACKEND_AUTOLOAD="0")
    assert result.returncode == 1
    assert result.stdout.endswith("the loss fell: yes, the load evened out: NO\n")


def test_the_same_training_draws_the_same_picture(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(TRAIN.parent)
    from train_picture import draw

    torch.manual_seed(0)
    runs = {name: (torch.rand(90), torch.rand(90, 2, 16)) for name in ("without", "with")}
    for name in ("first.svg", "second.svg"):
        draw(runs, tmp_path / name)
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "second.svg").read_bytes()


def test_the_picture_that_is_shown_is_small():
    picture = TRAIN.with_suffix(".svg")
    assert len(images(picture)) == 3  # two maps and their bar
    assert picture.stat().st_size < 150_000
