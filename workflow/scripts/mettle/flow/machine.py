"""What a machine computes with, since numbers of a training differ from one kind of processor to the next."""

import platform
import re
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_VECTORS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # what decides which kernels a library takes


def processor() -> str:
    """Model of the processor with its vector instructions; where Linux does not tell, the architecture."""
    text = _CPUINFO.read_text(encoding="utf-8") if _CPUINFO.exists() else ""
    model = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*: (.+)$", text, re.MULTILINE)
    found = [name for name in _VECTORS if flags and name in flags[1].split()]
    name = model[1].strip() if model else platform.machine()
    return f"{name} ({', '.join(found)})" if found else name
