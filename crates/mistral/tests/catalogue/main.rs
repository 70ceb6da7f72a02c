//! Workflows, registrations and deployments, as clients find and change them.

mod deployments;
mod testkit;
mod workflows;
