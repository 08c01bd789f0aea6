"""Jobs that survive: rows written as they finish, resumed, in shards, and checked afterwards."""

from jaxcf.jobs.checking import Certificate, check
from jaxcf.jobs.job import Job
from jaxcf.jobs.on_ray import ray_data
from jaxcf.jobs.running import JobInterrupted, JobOptions, run
from jaxcf.jobs.sources import RowSource

__all__ = [
    "Certificate",
    "Job",
    "JobInterrupted",
    "JobOptions",
    "RowSource",
    "check",
    "ray_data",
    "run",
]
