//! A plan as values: the writes that make Stripe agree with the catalog, what
//! Stripe would refuse, and notes. Nothing in this file compares or writes.

use crate::kind::ObjectKind;
use serde_json::Value;

/// What one write does to an object. Nothing is ever deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeAction {
    /// The object does not exist yet.
    Create,
    /// The object exists and differs from the catalog.
    Update,
    /// The catalog no longer has the object, so it is deactivated.
    Archive,
}

impl ChangeAction {
    /// The word in text output and in `--json`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Archive => "archive",
        }
    }
}

/// A field of an object whose value differs.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// The field's name in Stripe's notation, such as `recurring[interval]`.
    pub path: String,
    /// Stripe's value; null if there is none.
    pub from: Value,
    /// The catalog's value; null if there is none.
    pub to: Value,
}

/// One write to Stripe's API.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedChange {
    /// Create, update or archive.
    pub action: ChangeAction,
    /// The object's kind.
    pub kind: ObjectKind,
    /// The key that the catalog finds the object by, such as a lookup key.
    pub key: String,
    /// Stripe's id; `None` if Stripe chooses it when the object is created.
    pub id: Option<String>,
    /// The fields to write.
    pub fields: Vec<FieldChange>,
    /// Whether a new price takes its lookup key from the price that it replaces
    /// (`transfer_lookup_key`).
    pub takes_key: bool,
}

/// A remark about an object that the operator should know. It leads to no write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanNote {
    /// The object's kind.
    pub kind: ObjectKind,
    /// The key that the catalog finds the object by.
    pub key: String,
    /// The remark.
    pub text: String,
}

/// An object whose change or creation Stripe would refuse.
#[derive(Debug, Clone, PartialEq)]
pub struct RefusedObject {
    /// The object's kind.
    pub kind: ObjectKind,
    /// The key that the catalog finds the object by.
    pub key: String,
    /// The fields that Stripe would refuse.
    pub fields: Vec<FieldChange>,
    /// Why Stripe would refuse them.
    pub why: &'static str,
    /// What the operator can do instead.
    pub advice: String,
}

/// Everything that a comparison found out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChangePlan {
    /// The writes, in the order in which they must happen.
    pub changes: Vec<PlannedChange>,
    /// Objects that Stripe would refuse. If there is one, `changes` is empty.
    pub refused: Vec<RefusedObject>,
    /// Remarks for the operator.
    pub notes: Vec<PlanNote>,
    /// Kind and key of each object that already agrees with the catalog.
    pub unchanged: Vec<(ObjectKind, String)>,
}
