"""Build the compiled kernels of ``ext/``; all metadata is in ``pyproject.toml``.

There is no silent fallback: without a C compiler the build fails and says so.
"""

from Cython.Build import cythonize
from setuptools import Extension, setup

KERNELS = ["rollup"]

setup(
    ext_modules=cythonize(
        [Extension(f"ext._{name}", [f"ext/_{name}.pyx"]) for name in KERNELS],
        build_dir="build/cython",
        compiler_directives={"language_level": 3, "embedsignature": True},
    )
)
