"""Which part of the service may import which, and what none of them may."""

import ast
from pathlib import Path

import cultivar_service

ROOT = Path(cultivar_service.__file__).parent
BASE = {"config", "errors", "caller"}
BELOW = BASE | {"catalog", "telemetry"}
ALLOWED = {
    "__init__": set(),
    "errors": set(),
    "config": set(),
    "caller": {"errors"},
    "tokens": {"caller", "errors"},
    "backup": BASE | {"catalog"},
    "administration": BASE | {"tokens", "catalog", "backup"},
    "telemetry": BASE,
    "catalog": BASE,
    "trainers": BELOW,
    "placement": BELOW,
    "datasets": BELOW | {"trainers"},
    "training": BELOW | {"trainers", "placement"},
    "serving": BELOW,
    "studies": BELOW | {"trainers", "training"},
    "housekeeping": BELOW | {"serving"},
    "api": BELOW | {"trainers", "placement", "datasets", "training", "serving", "studies"},
    "transport": BASE | {"tokens", "telemetry", "api"},
    "server": BELOW
    | {"trainers", "placement", "datasets", "training", "serving", "studies", "housekeeping", "api", "transport"},
    "__main__": BASE | {"administration", "server"},
}
"""Parts that each part may import, beside itself."""
WIRE = {"grpc", "grpc_health", "grpc_reflection", "grpc_status"}
"""Only the transport knows these."""


def test_imports_point_one_way() -> None:
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        part = path.relative_to(ROOT).parts[0].removesuffix(".py")
        for module in imported(path):
            top, _, rest = module.partition(".")
            if top == "cultivar_service" and rest.split(".")[0] not in ALLOWED[part] | {part}:
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
            if (top in WIRE and part != "transport") or top in ("torch", "torchvision", "cultivar_trainer"):
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert wrong == []


def imported(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "cultivar_service":
            found += [f"cultivar_service.{one.name}" for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(node.module or "")
    return found
