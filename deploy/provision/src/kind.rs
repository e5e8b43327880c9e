//! The kinds of objects that the catalog declares, each as data: where it lives,
//! what of it is for good, how it is taken out of use.

use serde_json::{Value, json};

/// A kind of object, in the order in which they are written: what another one
/// names comes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Found by its id.
    Product,
    /// Found by its lookup key.
    Price,
    /// A product's default price, which exists only after both: found by the product's id.
    DefaultPrice,
    /// Found by its id.
    Coupon,
    /// Found by its code, if it is active.
    Promotion,
    /// The customers' portal: found by our mark in its metadata, else the default one.
    Portal,
    /// Found by its URL.
    Webhook,
    /// The account's one.
    Tax,
}

/// What must be known of a kind to compare and write it.
#[derive(Debug)]
pub struct Traits {
    /// For people and in `--json`.
    pub name: &'static str,
    /// Below `/v1`.
    pub path: &'static str,
    /// Fields that Stripe never changes.
    pub for_good: &'static [&'static str],
    /// Fields that are not sent when it is created.
    pub only_updated: &'static [&'static str],
    /// Inner objects that Stripe takes only whole.
    pub whole: &'static [&'static str],
    /// The field and value that take it out of use; none: Stripe cannot.
    pub retired: Option<(&'static str, bool)>,
    /// What to do about a difference that Stripe refuses; `LOOKUP_KEY` stands for the object's key.
    pub advice: &'static str,
}

const NONE: Traits = Traits {
    name: "",
    path: "",
    for_good: &[],
    only_updated: &[],
    whole: &[],
    retired: None,
    advice: "",
};

const PRODUCT: Traits = Traits {
    name: "product",
    path: "/products",
    retired: Some(("active", false)),
    ..NONE
};

const PRICE: Traits = Traits {
    name: "price",
    path: "/prices",
    for_good: &[
        "product",
        "unit_amount",
        "currency",
        "billing_scheme",
        "recurring",
        "recurring[interval]",
        "recurring[interval_count]",
        "recurring[usage_type]",
        "transform_quantity",
        "tax_behavior",
    ],
    retired: Some(("active", false)),
    advice: "write what Stripe has, or run `provision apply --replace LOOKUP_KEY`: it makes a new price, moves the \
             lookup key to it and archives this one, whose customers stay on it",
    ..NONE
};

const DEFAULT_PRICE: Traits = Traits {
    name: "default_price",
    path: "/products",
    ..NONE
};

const COUPON: Traits = Traits {
    name: "coupon",
    path: "/coupons",
    for_good: &[
        "amount_off",
        "currency",
        "percent_off",
        "duration",
        "duration_in_months",
        "max_redemptions",
        "redeem_by",
        "applies_to[products]",
    ],
    advice: "write what Stripe has, or give the coupon another id, and its promotion codes another code",
    ..NONE
};

const PROMOTION: Traits = Traits {
    name: "promotion_code",
    path: "/promotion_codes",
    for_good: &[
        "code",
        "promotion[type]",
        "promotion[coupon]",
        "customer",
        "max_redemptions",
        "expires_at",
        "restrictions[first_time_transaction]",
        "restrictions[minimum_amount]",
        "restrictions[minimum_amount_currency]",
    ],
    retired: Some(("active", false)),
    advice: "write what Stripe has, or deactivate the code in the Dashboard and apply again: a new one is made",
    ..NONE
};

const PORTAL: Traits = Traits {
    name: "portal_configuration",
    path: "/billing_portal/configurations",
    only_updated: &["active"],
    ..NONE
};

const WEBHOOK: Traits = Traits {
    name: "webhook_endpoint",
    path: "/webhook_endpoints",
    for_good: &["api_version"],
    only_updated: &["disabled"],
    retired: Some(("disabled", true)),
    advice: "write what Stripe has, or give the endpoint another URL (a query such as ?v=2 will do): a new one is made \
             beside it, with a secret of its own for STRIPE_WEBHOOK_SECRET",
    ..NONE
};

const TAX: Traits = Traits {
    name: "tax_settings",
    path: "/tax/settings",
    whole: &["head_office"],
    ..NONE
};

impl Kind {
    /// All of them, in their order.
    pub const ALL: [Self; 8] = [
        Self::Product,
        Self::Price,
        Self::DefaultPrice,
        Self::Coupon,
        Self::Promotion,
        Self::Portal,
        Self::Webhook,
        Self::Tax,
    ];

    /// What must be known of it.
    #[must_use]
    pub fn traits(self) -> &'static Traits {
        match self {
            Self::Product => &PRODUCT,
            Self::Price => &PRICE,
            Self::DefaultPrice => &DEFAULT_PRICE,
            Self::Coupon => &COUPON,
            Self::Promotion => &PROMOTION,
            Self::Portal => &PORTAL,
            Self::Webhook => &WEBHOOK,
            Self::Tax => &TAX,
        }
    }

    /// Whether a difference of this field is refused. Tax behaviour may be set once.
    #[must_use]
    pub fn is_for_good(self, path: &str, actual: &Value) -> bool {
        let settable = self == Self::Price && path == "tax_behavior" && *actual == json!("unspecified");
        self.traits().for_good.contains(&path) && !settable
    }

    /// Whether the texts of this field are prices: the catalog names them by lookup key.
    #[must_use]
    pub fn names_prices(self, path: &str) -> bool {
        match self {
            Self::DefaultPrice => path == "default_price",
            Self::Portal => path == "features[subscription_update][products]",
            _ => false,
        }
    }
}
