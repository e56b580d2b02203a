"""The loops of a planned layer, one after the other, as reports show them."""

from dataclasses import dataclass

from simulator.mapping.schedule import LayerSchedule


@dataclass(frozen=True)
class Loop:
    """A loop over tiles: `tiles` of them, of `tile` iterations each but for the last, make up its `extent`."""

    name: str
    extent: int
    tile: int
    tiles: int


def loops_of(schedule: LayerSchedule) -> tuple[Loop, ...]:
    """The loops over tiles from the outside in: G, then N, P, Q, K and C in the order of the plan.

    Where psums of several tiles of K stay, M is the loop over what stays and K, innermost, the loop within it. The
    loops R and S over a kernel, which no plan cuts, come last.
    """
    nest, tiling = schedule.nest, schedule.tiling
    resident = tiling.m > tiling.k
    outputs = Loop("M" if resident else "K", nest.k, tiling.m, schedule.residents.count)
    within = Loop("K", tiling.m, tiling.k, -(-tiling.m // tiling.k))
    positions = (
        Loop("N", nest.n, tiling.n, schedule.images.count),
        Loop("P", nest.p, tiling.p, schedule.rows.count),
        Loop("Q", nest.q, tiling.q, schedule.columns.count),
    )
    parts = {"S": positions, "K": (outputs,), "C": (Loop("C", nest.c, tiling.c, schedule.channels.count),)}
    return (
        Loop("G", nest.g, tiling.g, schedule.groups.count),
        *(loop for part in tiling.order for loop in parts[part]),
        *((within,) if resident else ()),
        Loop("R", nest.r, nest.r, 1),
        Loop("S", nest.s, nest.s, 1),
    )
