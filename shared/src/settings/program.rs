//! A program and its settings.

use super::setting::{DescribedSetting, Group};

/// A program and every setting that it reads.
#[derive(Debug)]
pub struct Program {
    /// The name of its binary.
    pub name: &'static str,
    /// Its settings; within a group, in the order in which they are printed.
    pub settings: &'static [&'static dyn DescribedSetting],
    /// Further lines for the end of `--help`.
    pub notes: &'static str,
}

impl Program {
    /// The settings of one group.
    pub fn of_group(&self, group: Group) -> impl Iterator<Item = &'static dyn DescribedSetting> {
        self.settings.iter().copied().filter(move |s| s.group() == group)
    }

    /// Whether it lists the variable `name`.
    pub(super) fn lists(&self, name: &str) -> bool {
        self.settings.iter().any(|setting| setting.name() == name)
    }
}
