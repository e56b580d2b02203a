"""What cycle-accurate simulators have shown about DRAM, computed from each preset's own timing."""

import pytest
from memories import percent, played, refresh_share, serve

from simulator.dram.address_map import address_map
from simulator.dram.memory import Memory
from simulator.hardware.dram_device import CONTROLLERS, Controller, device_names, load_device

DDR = ("DDR3-1600", "DDR4-2400", "DDR4-3200")
DDR4 = ("DDR4-2400", "DDR4-3200")
GROUPED = (*DDR4, "GDDR6-14000", "LPDDR5-6400")
FEW_CHANNELS = (*DDR, "GDDR6-14000", "LPDDR4-3200", "LPDDR5-6400")
HBM = ("HBM2-2000", "HBM2-2400", "HBM2E-3200", "HBM3-6400")
PER_CONTROLLER = pytest.mark.parametrize("controller", CONTROLLERS)


@pytest.mark.parametrize("name", GROUPED)
def test_a_stream_in_one_bank_group_is_bound_by_tccd_l(name: str) -> None:
    timing, kept = load_device(name).timing, refresh_share(load_device(name))
    found = percent(name, "seq", "rowmajor")
    assert 100 * timing.BL / timing.tCCD_L * kept < found < 100 * timing.BL / timing.tCCD_S * kept - 10, f"{found:.1f}"


@PER_CONTROLLER
@pytest.mark.parametrize("name", FEW_CHANNELS)
def test_a_stream_over_all_bank_groups_loses_only_refreshes(name: str, controller: str) -> None:
    found = percent(name, "seq", "bgint", controller=controller)
    assert found == pytest.approx(100 * refresh_share(load_device(name)), abs=2.6), f"{found:.1f}"


@pytest.mark.parametrize("options", [{}, {"chunk": 256}], ids=["seq", "random"])
@pytest.mark.parametrize("name", GROUPED)
def test_the_hybrid_map_is_as_good_as_the_better_of_both(name: str, options: dict[str, int]) -> None:
    kind = "random" if options else "seq"
    others = [percent(name, kind, order, **options) for order in ("rowmajor", "bgint")]
    found = percent(name, kind, "hybrid", **options)
    assert found > max(others) - 0.6, f"{found:.1f}, rowmajor and bgint {others}"
    assert found > min(others) + 10, f"{found:.1f}, rowmajor and bgint {others}"


@PER_CONTROLLER
@pytest.mark.parametrize("name", DDR)
def test_scattered_bursts_are_bound_by_four_activates(name: str, controller: str) -> None:
    timing = load_device(name).timing
    bound = 100 * 4 * timing.BL / timing.tFAW * refresh_share(load_device(name))
    found = percent(name, "random", "bgint", chunk=64, controller=controller)
    assert 0.96 * bound < found < 1.005 * bound, f"{found:.1f}, bound {bound:.1f}"


@PER_CONTROLLER
@pytest.mark.parametrize("name", device_names())
def test_always_the_same_bank_is_bound_by_the_row_cycle(name: str, controller: str) -> None:
    device = load_device(name)
    timing, organisation = device.timing, device.organisation
    mapping = address_map("rowmajor", organisation)
    bursts = 64 // organisation.burst
    last = timing.tRCDRD + (bursts - 1) * max(timing.BL, timing.tCCD_L) + timing.tRTP
    cycle = max(timing.tRAS, last) + timing.tRP
    pins = organisation.channels * organisation.pseudo_channels
    bound = 100 * bursts * timing.BL / cycle / pins * refresh_share(device)
    stride = organisation.burst << mapping.low_bits
    found = percent(name, "stride", "rowmajor", stride=stride, size=1 << 17, controller=controller)
    assert found == pytest.approx(bound, rel=0.06), f"{found:.2f}, bound {bound:.2f}"
    assert found < 11


@pytest.mark.parametrize("name", DDR)
def test_turnarounds_cost_by_the_batch_of_writes(name: str) -> None:
    timing, kept = load_device(name).timing, refresh_share(load_device(name))
    loss = timing.tRTW - timing.BL + timing.CWL + timing.tWTR_L

    def efficiency(batch: int) -> float:
        moved = 2 * batch * timing.BL
        return 100 * moved / (moved + loss) * kept

    found = percent(name, "mix", chunk=64)
    assert efficiency(20) - 1 < found < efficiency(30) + 1, f"{found:.1f}: {efficiency(20):.1f}, {efficiency(30):.1f}"
    longer = percent(name, "mix", chunk=64, controller="dramsim3")
    assert efficiency(48) - 3 < longer < 100 * kept
    assert longer > found + 2


@pytest.mark.parametrize("name", DDR)
def test_small_chunks_cost_alike_and_large_ones_hardly_anything(name: str) -> None:
    small = [percent(name, "mix", chunk=chunk) for chunk in (64, 256, 2048)]
    assert max(small) - min(small) < 6
    assert 100 * refresh_share(load_device(name)) - 1.5 < percent(name, "mix", chunk=65536)
    assert percent(name, "mix", chunk=65536) > max(small) + 4


@pytest.mark.parametrize("name", DDR)
def test_streams_that_start_in_the_same_bank_lose_more(name: str) -> None:
    for chunk in (64, 256, 2048):
        skewed, same = (percent(name, "mix", chunk=chunk, skew=skew) for skew in (True, False))
        assert 10 < skewed - same < 25, f"{chunk} B: {skewed:.1f} and {same:.1f}"


@pytest.mark.parametrize("name", HBM)
def test_scattered_chunks_on_many_channels_are_bound_by_queues(name: str) -> None:
    found = []
    for depth in (16, 32, 64, 128):
        queues = Controller(queues="shared", read_queue=depth, write_queue=32, write_high=25, write_low=7)
        found.append(percent(name, "random", chunk=256, controller=queues, size=1 << 21))
    assert found == sorted(found), found
    assert found[-1] > 1.4 * found[0], found
    assert 15 < found[1] < 50, found


def alone(name: str) -> Memory:
    device = load_device(name)
    return Memory(device, CONTROLLERS["ramulator2"], address_map("rowmajor", device.organisation))


@pytest.mark.parametrize("name", device_names())
def test_a_read_alone_takes_what_the_standard_says(name: str) -> None:
    device = load_device(name)
    timing, memory = device.timing, alone(name)
    other_row = 1 << memory.mapping.low_bits
    unloaded = timing.CL + timing.BL + (1 if device.commands.data_clock else 0)
    for what, first, extra in (
        ("closed", 0, timing.tRCDRD),
        ("hit", 1, 0),
        ("conflict", other_row, timing.tRP + timing.tRCDRD),
        ("hit after it", other_row + 1, 0),
    ):
        start = memory.clock + 200
        assert serve(memory, first, 1, start) - start == unloaded + extra, what


@pytest.mark.parametrize("name", FEW_CHANNELS)
def test_latency_under_load_is_the_depth_of_the_queue(name: str) -> None:
    device = load_device(name)
    run = played(name, "seq")
    (median,) = run.memory.latency_clocks(0.5)
    depth = CONTROLLERS["ramulator2"].read_queue * device.timing.BL
    assert median == pytest.approx(depth + device.timing.CL, rel=0.12), f"{median} clocks"
