#!/usr/bin/env python3
"""Print the CycloneDX document of an image: what `cyclonedx-py` found of Python, and Debian's packages beside it.

  script/bill_of_materials.py PYTHON.json ROOT NAME VERSION REVISION

PYTHON.json is the output of `cyclonedx-py environment`; ROOT is where the image is mounted; its Debian packages are the
files of /var/lib/dpkg/status.d, as in every distroless image, or one file, as in every other. The result is checked
against CycloneDX's own schema. script/image calls it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL


def main(python: Path, root: Path, name: str, version: str, revision: str) -> int:
    """Print it; what is no valid document is an error."""
    document: dict[str, Any] = json.loads(python.read_text(encoding="utf-8"))
    document["metadata"]["component"] = {
        "bom-ref": name,
        "type": "container",
        "name": name,
        "version": version,
        "properties": [{"name": "org.opencontainers.image.revision", "value": revision}],
    }
    document["components"] += debian_components(root)
    text = json.dumps(document, indent=2, sort_keys=True)
    fault = JsonStrictValidator(SchemaVersion.from_version(document["specVersion"])).validate_str(text)
    if fault is not None:
        print(f"error: this is no CycloneDX {document['specVersion']}: {fault}", file=sys.stderr)
        return 1
    print(text)
    return 0


def debian_components(root: Path) -> Iterator[dict[str, Any]]:
    """The packages, by name."""
    release = dict(
        line.split("=", 1) for line in (root / "etc/os-release").read_text(encoding="utf-8").splitlines() if "=" in line
    )
    distribution = f"debian-{release['VERSION_ID'].strip(chr(34))}"
    for fields in sorted(_packages(root / "var/lib/dpkg"), key=lambda each: each["Package"]):
        name, version = fields["Package"], fields["Version"]
        qualifiers = {"arch": fields["Architecture"], "distro": distribution}
        url = PackageURL("deb", "debian", name, version, qualifiers).to_string()
        yield {"bom-ref": url, "type": "library", "name": name, "version": version, "purl": url}


def _packages(folder: Path) -> Iterator[dict[str, str]]:
    files = sorted(folder.glob("status.d/*")) or [folder / "status"]
    for file in files:
        if file.name.endswith(".md5sums"):
            continue
        for paragraph in file.read_text(encoding="utf-8").split("\n\n"):
            if paragraph.strip():
                yield dict(HeaderParser().parsestr(paragraph).items())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
