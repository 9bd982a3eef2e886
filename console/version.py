"""The version, as a constant: asking the package's metadata for it would cost a tenth of the CLI's start."""

VERSION = "0.1.0"
