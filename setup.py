"""Build the compiled kernels of ``ext/``; all metadata is in ``pyproject.toml``.

There is no silent fallback: without a C compiler the build fails and says so.
Generated C stays in ``build/cython``.
"""

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, ExecError, PlatformError

EXACT = ["-ffp-contract=off"]
"""Each operation is rounded by itself, as in Python: a kernel equals its twin to the bit."""

WIDE = ["-O3"]
"""Sums run in vectors, in another order than the twin's: equal to rounding alone."""

KERNELS = {
    "decode": EXACT,
    "rollup": EXACT,
    "ridge_sums": WIDE,
    "ridge_solve": WIDE,
    "store": EXACT,
    "onoff": EXACT,
    "states": EXACT,
}


class BuildKernels(build_ext):
    """Build the kernels, and name the remedy where they cannot be built."""

    def build_extension(self, ext: Extension) -> None:
        """Build one kernel."""
        try:
            super().build_extension(ext)
        except (CCompilerError, ExecError, PlatformError) as error:
            raise SystemExit(
                f"{ext.name} could not be compiled: {error}\n"
                "Hearth needs a C compiler and Python's headers. On Debian or Ubuntu: "
                "apt-get install build-essential python3-dev"
            ) from error


setup(
    cmdclass={"build_ext": BuildKernels},
    ext_modules=cythonize(
        [
            Extension(f"ext._{name}", [f"ext/_{name}.pyx"], extra_compile_args=options)
            for name, options in KERNELS.items()
        ],
        build_dir="build/cython",
        compiler_directives={"language_level": 3, "embedsignature": True},
    ),
)
