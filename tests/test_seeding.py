"""Every draw follows from a few facts, on every machine alike."""

import pytest
import torch

from ganctl.seeding import derive, generator, seed_default


def test_the_numbers_never_change():
    """Recorded: another number would be another picture for the same seed."""
    assert [derive(0), derive("prior", 7), derive(1, 2, 3, 0)] == [2334269327, 2977002328, 1423836340]


def test_each_fact_counts_and_so_does_their_order():
    facts = [
        (seed, step, phase, shard) for seed in range(3) for step in range(50) for phase in range(3) for shard in (0, 1)
    ]
    numbers = {derive(*fact) for fact in facts}
    assert len(numbers) == len(facts)
    assert all(0 <= number < 2**32 for number in numbers)
    assert derive(1, 2) != derive(2, 1)
    assert derive(12) != derive(1, 2)


def test_seeding_addresses_the_generator_that_torch_draws_from():
    torch.manual_seed(5)
    expected = torch.randn(3)
    seed_default(5, torch.device("cpu"))
    assert torch.equal(torch.randn(3), expected)


def test_a_generator_of_its_own_leaves_the_default_one_alone():
    seed_default(1, torch.device("cpu"))
    expected = torch.rand(2)
    seed_default(1, torch.device("cpu"))
    first = torch.rand(3, generator=generator("flips", 4))
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(torch.rand(3, generator=generator("flips", 4)), first)
    assert not torch.equal(torch.rand(3, generator=generator("flips", 5)), first)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_device_draws_from_the_same_number():
    draws = []
    for _ in range(2):
        seed_default(7, torch.device("cuda"))
        draws.append((torch.randn(4), torch.randn(4, device="cuda")))
    for one, other in zip(*draws, strict=True):
        assert torch.equal(one, other)
