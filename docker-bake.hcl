// Both images for amd64 and arm64:
//
//   docker buildx bake                                   to see that they build
//   VERSION=4.0.0 REGISTRY=registry.example/ops/ docker buildx bake --push
//
// With another Python: PYTHON=3.14 docker buildx bake

variable "VERSION" { default = "" }
variable "REVISION" { default = "" }
variable "SOURCE" { default = "" }
// With a slash at its end.
variable "REGISTRY" { default = "" }
variable "PYTHON" { default = "3.13" }
// By a digest, or a mirror's: it wins over PYTHON.
variable "PYTHON_IMAGE" { default = "" }

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
  tags = concat(
    ["${REGISTRY}prodserver-base:python${PYTHON}"],
    PYTHON == "3.13" ? ["${REGISTRY}prodserver-base:latest"] : [],
    VERSION == "" ? [] : ["${REGISTRY}prodserver-base:${VERSION}-python${PYTHON}"],
    VERSION != "" && PYTHON == "3.13" ? ["${REGISTRY}prodserver-base:${VERSION}"] : [],
  )
}

target "builder" {
  inherits = ["_image"]
  target   = "builder"
  tags = concat(
    ["${REGISTRY}prodserver-base:builder-python${PYTHON}"],
    PYTHON == "3.13" ? ["${REGISTRY}prodserver-base:builder"] : [],
    VERSION == "" ? [] : ["${REGISTRY}prodserver-base:${VERSION}-builder-python${PYTHON}"],
    VERSION != "" && PYTHON == "3.13" ? ["${REGISTRY}prodserver-base:${VERSION}-builder"] : [],
  )
}
