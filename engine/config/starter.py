"""The files that `quarterdeck init` writes: the bundled defaults, annotated, to start from."""

from __future__ import annotations

from pathlib import Path

from engine.config.policy import FILE_NAME, preset
from engine.errors import UsageError

DEFAULTS = Path(__file__).parent / "defaults"


def write_defaults(config_dir: Path, policy: str = "") -> list[Path]:
    """Write the annotated default files; nothing is overwritten. Raises UsageError when one of them exists.

    policy: the name of a preset to write as policy.toml; "": the annotated defaults. Directories get mode 0700,
    files 0600.
    """
    sources = sorted(DEFAULTS.rglob("*.toml"))
    targets = [config_dir / source.relative_to(DEFAULTS) for source in sources]
    if policy:
        sources = [preset(policy) if source == DEFAULTS / FILE_NAME else source for source in sources]
    present = [str(target) for target in targets if target.exists()]
    if present:
        raise UsageError(f"{', '.join(present)} exists already; move it away first, nothing was written.")
    config_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for source, target in zip(sources, targets, strict=True):
        target.parent.mkdir(mode=0o700, exist_ok=True)
        with target.open("x", encoding="utf-8", newline="\n") as out:
            target.chmod(0o600)
            out.write(source.read_text(encoding="utf-8"))
    return targets
