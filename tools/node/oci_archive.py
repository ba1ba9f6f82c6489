#!/usr/bin/env python3
"""Write an OCI image archive (for `ctr images import`) from one folder, without Docker.

usage: oci_archive.py OUT.tar NAME:TAG FOLDER [--entrypoint PROGRAM]
Files belong to root and carry no time, so that the same folder gives the same image.
"""

import argparse
import hashlib
import io
import json
import platform
import tarfile
import tempfile
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
PATH_VARIABLE = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = "root"
    return member


def layer(folder: Path) -> bytes:
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            tar.add(folder, arcname=".", filter=anonymous)
        file.seek(0)
        return file.read()


def descriptor(media_type: str, data: bytes) -> dict[str, object]:
    return {
        "mediaType": f"application/vnd.oci.image.{media_type}",
        "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "size": len(data),
    }


def archive(out: Path, reference: str, folder: Path, entrypoint: str | None) -> None:
    content = layer(folder)
    content_at = descriptor("layer.v1.tar", content)
    config = {
        "architecture": ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": {"Env": [PATH_VARIABLE]} | ({"Entrypoint": [entrypoint]} if entrypoint else {}),
        "rootfs": {"type": "layers", "diff_ids": [content_at["digest"]]},
    }
    config_data = json.dumps(config).encode()
    manifest_data = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("config.v1+json", config_data),
            "layers": [content_at],
        }
    ).encode()
    manifest_at = descriptor("manifest.v1+json", manifest_data)
    manifest_at["annotations"] = {
        "io.containerd.image.name": reference,
        "org.opencontainers.image.ref.name": reference.rsplit(":", 1)[-1],
    }
    files = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [manifest_at]}).encode(),
    } | {
        f"blobs/sha256/{hashlib.sha256(data).hexdigest()}": data
        for data in (content, config_data, manifest_data)
    }
    with tarfile.open(out, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("reference")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--entrypoint")
    arguments = parser.parse_args()
    archive(arguments.out, arguments.reference, arguments.folder, arguments.entrypoint)


if __name__ == "__main__":
    main()
