"""Names of the corruptions: by group in the order of the benchmark, and those that a selection stands for."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
        "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
        "weather": ("snow", "frost", "fog", "brightness"),
        "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
        "extra": ("speckle_noise", "gaussian_blur", "spatter", "saturate"),  # held out by the benchmark
    }
)
ALL = tuple(name for names in GROUPS.values() for name in names)
BENCHMARK = tuple(name for name in ALL if name not in GROUPS["extra"])
SEVERITIES = (1, 2, 3, 4, 5)
_SELECTIONS = {"all": ALL, "benchmark": BENCHMARK, **GROUPS}


def selected(chosen: Iterable[str]) -> tuple[str, ...]:
    """Corruptions chosen by name, by group, or as `benchmark` or `all`; each once, in the order of `ALL`."""
    asked = {name for word in chosen for name in _SELECTIONS.get(word, (word,))}
    return tuple(name for name in ALL if name in asked)
