"""The processor, as results name it."""

import platform

import pytest

from mettle.flow import machine

INTEL = "model name\t: Xeon 8481C\nflags\t\t: fpu avx avx2 amx_bf16 avx512f\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (INTEL, "Xeon 8481C (avx2, avx512f, amx_bf16)"),
        (INTEL.replace("avx2", "").replace("avx512f", "").replace("amx_bf16", ""), "Xeon 8481C"),
        ("Features\t: fp asimd\n", platform.machine()),
    ],
)
def test_a_processor_is_named_with_its_vector_instructions(tmp_path, monkeypatch, text, found):
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    assert machine.processor() == found


def test_without_linux_it_is_the_architecture(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "none")
    assert machine.processor() == platform.machine()
