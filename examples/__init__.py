"""Networks, scripts and a notebook that use Roundel; no part of the package."""
