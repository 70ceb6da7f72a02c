//! Who is served first.

use temporalio_common::Priority as Official;

/// The place of a workflow's or an activity's tasks among the tasks of their queue: `priority = 1`, or
/// `Priority::new(2).fairness("tenant-7", 1.0)`.
///
/// Where nothing is said a workflow has the middle of what its server knows, and an activity or a child the priority of its
/// workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct Priority(Official);

impl Priority {
    /// Of this key: 1 comes before 2, and so on, to 5 if the server knows no other limit. 0 stands for what is said elsewhere.
    pub fn new(key: u32) -> Priority {
        let mut official = Official::default();
        official.priority_key = (key > 0).then_some(key);
        Priority(official)
    }

    /// Shares what the queue has for tasks of one priority among keys such as the names of tenants, at most 64 bytes long,
    /// by their weights: servers take 0.001 to 1,000, and 1 is the usual one.
    pub fn fairness(mut self, key: impl Into<String>, weight: f32) -> Priority {
        self.0.fairness_key = Some(key.into());
        self.0.fairness_weight = Some(weight);
        self
    }

    pub(crate) fn into_official(self) -> Official {
        self.0
    }
}

impl From<u32> for Priority {
    fn from(key: u32) -> Priority {
        Priority::new(key)
    }
}
