"""What a reader is told whose buffers change in size while the energy of an access stays that of the file."""

from collections.abc import Sequence


def energy_notes(left: Sequence[str]) -> list[str]:
    """A line for the settings that `energies_left_behind` found, none where it found none."""
    if not left:
        return []
    memories = ", ".join(dict.fromkeys(setting.rpartition(".")[0] for setting in left))
    return [
        f"the energy per access of {memories} stays the file's at another capacity; set read_energy and write_energy "
        "there too, or to null to have them follow from the capacity (docs/own-accelerator.md)"
    ]
