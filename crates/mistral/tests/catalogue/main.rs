//! Workflows, registrations and deployments, as clients find and change them.

mod deployments;
mod documented;
mod identity;
mod testkit;
mod workflows;
