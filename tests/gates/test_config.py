"""Gates are made from a configuration that is checked, of one's own or of a published model's."""

import dataclasses

import pytest

from ascend_moe_gating import GateConfig, MoEGate


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"hidden_size": 0}, ValueError, "hidden_size must be at least 1, got 0"),
        ({"hidden_size": 2.0}, TypeError, "hidden_size must be an int, got 2.0"),
        ({"experts": True}, TypeError, "experts must be an int, got True"),
        ({"experts": 4096}, ValueError, "got 4096 (C3)"),
        ({"vocabulary": 0}, ValueError, "vocabulary must be at least 1, got 0"),
        ({"vocabulary": "9"}, TypeError, "vocabulary must be an int or None, got '9'"),
        ({"bias": 1}, TypeError, "bias must be a bool, got 1"),
        ({"k": 17}, ValueError, "k must be between 1 and 16 (= k_group * experts / group_count), got 17 (C9)"),
        ({"k": 2.5}, TypeError, "k must be an int, got 2.5 of type float (C9)"),
        ({"group_count": 3}, ValueError, "group_count must be at least 1 and divide the 16 experts, got 3 (C5)"),
        ({"k_group": 2}, ValueError, "got 2 (C8)"),
        ({"norm_type": 3}, ValueError, "got 3 (C12)"),
        ({"renorm": "1"}, TypeError, "renorm must be an int, got '1' of type str (C11)"),
        ({"vocabulary": 9, "group_count": 4}, ValueError, "got 1 (C18)"),
    ],
    ids=str,
)
@pytest.mark.parametrize("made", [GateConfig, MoEGate])
def test_what_no_gate_has_is_refused_at_once(made, arguments, error, message):
    with pytest.raises(error) as raised:
        made(**{"hidden_size": 32, "experts": 16, "k": 4, **arguments})
    assert message in str(raised.value)


def test_a_configuration_is_frozen():
    config = GateConfig(32, 16, 4)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.k = 5
    assert MoEGate.from_config(config).config == config


def test_a_gate_shows_what_is_not_as_usual():
    assert repr(MoEGate(32, 16, 4, bias=False)) == "MoEGate(hidden_size=32, experts=16, k=4, bias=False)"
