"""Calls in a source that could run what a file or a configuration holds, or let it write; read off the syntax tree."""

import ast

# Each of these runs, or may run, what it is given.
CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput"),
    *("subprocess.getstatusoutput", "yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load"),
    *(
        "marshal.load",
        "marshal.loads",
        "shelve.open",
        "joblib.load",
        "pandas.read_pickle",
        "tarfile.TarFile.extractall",
    ),
    *(f"{module}.{name}" for module in ("pickle", "_pickle", "dill", "cloudpickle") for name in ("load", "loads")),
    *("pickle.Unpickler", "pickle._Unpickler", "timm.models.load_checkpoint", "torch.hub.load"),
}
# Calls that are safe with one value of one argument, and that value.
GUARDED = {"torch.load": ("weights_only", True), "numpy.load": ("allow_pickle", False)}


def unsafe(source: str) -> list[str]:
    """Line and name of every such call, and of every unpickler of ours that does not choose what it looks up."""
    tree = ast.parse(source)
    names = _names(tree)
    found = [(node, _call(node, names)) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    found += [(node, _unpickler(node, names)) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return [f"{node.lineno}: {name}" for node, name in found if name]


def _names(tree: ast.AST) -> dict[str, str]:
    """Full name of each imported name."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _name(node: ast.expr, names: dict[str, str]) -> str:
    """Full name of what is called, as far as it can be read off."""
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value, names)}.{node.attr}"
    return names.get(node.id, node.id) if isinstance(node, ast.Name) else ""


def _call(node: ast.Call, names: dict[str, str]) -> str:
    """Name of an unsafe call, else nothing."""
    name = _name(node.func, names)
    given = {keyword.arg: getattr(keyword.value, "value", None) for keyword in node.keywords}
    if name in GUARDED:
        argument, value = GUARDED[name]
        return "" if given.get(argument) is value else name
    # A whole command as one text goes through a shell, or was about to.
    text = bool(node.args) and isinstance(node.args[0], ast.JoinedStr | ast.Constant | ast.BinOp)
    if name.startswith("subprocess.") and (given.get("shell", False) is not False or text):
        return f"{name} through a shell"
    # Members of an archive are written wherever their names say.
    return name if name in CALLS or name.endswith(".extractall") else ""


def _unpickler(node: ast.ClassDef, names: dict[str, str]) -> str:
    """Name of a class that unpickles whatever is asked for, else nothing."""
    is_one = any(_name(base, names).endswith("Unpickler") for base in node.bases)
    chooses = any(isinstance(part, ast.FunctionDef) and part.name == "find_class" for part in node.body)
    return f"class {node.name}" if is_one and not chooses else ""
