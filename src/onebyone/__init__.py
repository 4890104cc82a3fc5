"""OneByOne counts ad impressions and clicks one by one; see README.md for the promise and docs/ for the contracts."""

__version__ = "0.1.0"
