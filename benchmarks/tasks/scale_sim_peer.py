"""Runs SCALE-Sim in its own virtual environment. Arguments: configuration, topology, layout, output folder."""

import sys

from scalesim.scale_sim import scalesim


def main() -> None:
    config, topology, layout, out = sys.argv[1:]
    run = scalesim(save_disk_space=True, verbose=False, config=config, topology=topology, layout=layout)
    run.run_scale(top_path=out)


if __name__ == "__main__":
    main()
