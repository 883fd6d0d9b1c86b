"""Cards by every name that people and drivers give them."""

import pytest

from tinyzero.errors import HardwareError
from tinyzero.machine.cards import card_of, cards, find_card, why_unsupported


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("4090", "RTX 4090"),
        ("rtx4090", "RTX 4090"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", "RTX 4070 Ti Super"),
        ("4070-ti-super", "RTX 4070 Ti Super"),
        ("4070", "RTX 4070"),
        ("3060 12 GB", "RTX 3060"),
        ("3060ti", "RTX 3060 Ti"),
        ("4060 ti 16gb", "RTX 4060 Ti 16GB"),
        ("Tesla T4", "T4"),
        ("a100-sxm4-80gb", "A100 80GB"),
        ("a100", "A100 40GB"),
        ("H100", "H100"),
    ],
)
def test_a_card_is_found_by_what_people_call_it(spelling, name):
    assert find_card(spelling).name == name


def test_an_unknown_card_names_the_nearest_in_one_line():
    with pytest.raises(HardwareError, match=r"^no card '4099' in the table; did you mean RTX 4090\?$"):
        find_card("4099")
    with pytest.raises(
        HardwareError, match=r"^no card 'Voodoo' in the table; try one like 3060, 4090 or t4$"
    ):
        find_card("Voodoo")


@pytest.mark.parametrize(
    ("reported", "gib", "name"),
    [
        ("NVIDIA GeForce RTX 3080", 9.8, "RTX 3080"),
        ("NVIDIA GeForce RTX 3080", 11.8, "RTX 3080 12GB"),
        ("NVIDIA GeForce RTX 4060 Ti", 15.7, "RTX 4060 Ti 16GB"),
        ("NVIDIA A100-SXM4-80GB", 79.2, "A100 80GB"),
        ("NVIDIA H100 PCIe", 79.2, "H100 PCIe"),
        ("NVIDIA H100 80GB HBM3", 79.1, "H100"),
        ("NVIDIA GeForce RTX 4070 Ti", 11.7, "RTX 4070 Ti"),
    ],
)
def test_a_driver_s_name_and_memory_tell_which_card_it_is(reported, gib, name):
    assert card_of(reported, gib).name == name


def test_a_card_that_is_not_in_the_table_has_its_memory_but_no_speed():
    card = card_of("NVIDIA GeForce RTX 4090 Laptop GPU", 15.7)
    assert card.name == "NVIDIA GeForce RTX 4090 Laptop GPU"
    assert card.usable_gib == pytest.approx(15.7)
    assert (card.bandwidth_gb_s, card.tflops) == (None, None)


def test_what_can_be_used_is_what_torch_reports():
    # 16 x 15/16 x 0.98, torch reports 14.6 to 14.7; 24 x 0.98, torch reports 23.5 to 23.6
    assert find_card("t4").usable_gib == pytest.approx(14.7)
    assert find_card("4090").usable_gib == pytest.approx(23.52)


def test_every_card_has_figures_of_a_gpu():
    for card in cards().values():
        assert 8 <= card.memory_gib <= 192, card
        assert 250 <= card.bandwidth_gb_s <= 8000, card
        assert 25 <= card.tflops <= 1000, card
        assert card.has_bf16 or card.name in ("T4", "RTX 2060 12GB", "RTX 2080 Ti")


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("AMD", ["mi300", "MI300X", "rx 7900 xtx", "RX 6800", "7900xtx", "Radeon VII", "AMD Instinct MI250"]),
        ("Apple", ["m1", "M3 Max", "Apple M2 Ultra", "mps", "m4-pro", "MacBook"]),
        ("only CUDA", ["arc a770", "A770", "B580", "Intel Arc", "gaudi2", "tpu"]),
        ("Volta", ["V100", "Tesla V100-SXM2-32GB", "NVIDIA TITAN V", "Quadro GV100"]),
        ("Pascal", ["gtx1080", "1080ti", "1060", "GTX 1060 6GB", "Tesla P100-PCIE-16GB", "P40", "TITAN Xp",
                    "Quadro P4000"]),
        ("older", ["GTX 980 Ti", "970", "Tesla K80", "M60"]),
    ],
)  # fmt: skip
def test_a_card_that_cannot_train_says_why(family, names):
    for name in names:
        with pytest.raises(HardwareError, match=rf"^{name} cannot train: .*{family}"):
            find_card(name)


def test_nothing_is_said_against_a_card_that_can_train():
    drivers = "A800-SXM4-80GB", "RTX 6000 Ada Generation", "GTX 1660", "B200", "Quadro RTX 8000", "a card"
    assert [name for name in (*cards(), *drivers) if why_unsupported(name)] == []
