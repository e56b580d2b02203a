"""A small measurement, written by hand to test what reads one: no device took these times."""

from simulator.measure.schema import Ceiling, Device, Measurement, NetworkRun, OperatorTime, Spread


def spread(microseconds: float) -> Spread:
    return Spread.of([microseconds])


def network_run(network: str, whole: float, operators: dict[str, float], batch: int = 1) -> NetworkRun:
    times = [OperatorTime(name=name, operator="op", latency_us=spread(time)) for name, time in operators.items()]
    return NetworkRun(
        network=network,
        batch=batch,
        precision="fp32",
        variant="eager",
        weights="random",
        macs=1,
        warm_up=0,
        latency_us=spread(whole),
        operators=tuple(times),
    )


RUN = network_run("tinynet", 100, {"features.0": 60, "features.0/batch_norm": 30, "other/empty": 1})


def measurement(*runs: NetworkRun) -> Measurement:
    copies = [
        Ceiling(name="copy_bandwidth", value=rate, unit="B/s", size_bytes=size, latency_us=spread(1))
        for size, rate in ((1 << 20, 4e10), (256 << 20, 1e10))
    ]
    return Measurement(
        fmapsim="0",
        taken="never",
        command="fmapsim measure",
        device=Device(kind="cpu", name="imagined"),
        ceilings=tuple(copies),
        networks=runs,
    )
