// Both images for amd64 and arm64:
//
//   docker buildx bake                                   to see that they build
//   VERSION=4.0.0 REGISTRY=registry.example/ops/ docker buildx bake --push
//
// With another Python: PYTHON=3.12 docker buildx bake

variable "VERSION" { default = "" }
variable "REVISION" { default = "" }
variable "SOURCE" { default = "" }
// With a slash at its end.
variable "REGISTRY" { default = "" }
variable "PYTHON" { default = "3.14" }
// By a digest, or a mirror's: it wins over PYTHON.
variable "PYTHON_IMAGE" { default = "" }

// The Python of the tags that name none.
variable "DEFAULT_PYTHON" { default = "3.14" }
// "4" of 4.0.0. A pre-release, such as 4.1.0rc1, moves no tag but its own.
variable "SERIES" {
  default = length(regexall("^[0-9]+[.][0-9]+[.][0-9]+$", VERSION)) == 1 ? split(".", VERSION)[0] : ""
}

// As the official images are named: 4.0.0-python3.14, 4-python3.14, python3.14; and
// of the default Python 4.0.0, 4 and latest, too. The builder's: 4.0.0-builder-python3.14
// to builder.
function "names" {
  params = [kind]
  result = concat(
    VERSION == "" ? [] : ["${VERSION}-${kind}python${PYTHON}"],
    SERIES == "" ? [] : ["${SERIES}-${kind}python${PYTHON}"],
    VERSION != "" && SERIES == "" ? [] : ["${kind}python${PYTHON}"],
    PYTHON != DEFAULT_PYTHON || VERSION == "" ? [] : [trimsuffix("${VERSION}-${kind}", "-")],
    PYTHON != DEFAULT_PYTHON || SERIES == "" ? [] : [trimsuffix("${SERIES}-${kind}", "-")],
    PYTHON != DEFAULT_PYTHON || (VERSION != "" && SERIES == "") ? [] : [kind == "" ? "latest" : trimsuffix(kind, "-")],
  )
}

group "default" {
  targets = ["runtime", "builder"]
}

target "_image" {
  dockerfile = "docker/Dockerfile"
  platforms  = ["linux/amd64", "linux/arm64"]
  args = {
    PYTHON_IMAGE = PYTHON_IMAGE != "" ? PYTHON_IMAGE : "python:${PYTHON}-slim-trixie"
    VERSION      = VERSION != "" ? VERSION : null
    REVISION     = REVISION
    SOURCE       = SOURCE
  }
}

target "runtime" {
  inherits = ["_image"]
  target   = "runtime"
  tags     = [for name in names("") : "${REGISTRY}prodserver-base:${name}"]
}

target "builder" {
  inherits = ["_image"]
  target   = "builder"
  tags     = [for name in names("builder-") : "${REGISTRY}prodserver-base:${name}"]
}
