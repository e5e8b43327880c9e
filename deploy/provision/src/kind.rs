//! The kinds of Stripe objects that the catalog declares. Each is data: its path in
//! Stripe's API, the fields that Stripe never changes, and how it is archived.

use serde_json::{Value, json};

/// A kind of object. The order is the order of writing: an object comes after the
/// objects that it refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// Found by its id.
    Product,
    /// Found by its lookup key.
    Price,
    /// The `default_price` of a product, written after product and price exist. Found by
    /// the product's id.
    DefaultPrice,
    /// Found by its id.
    Coupon,
    /// A promotion code. Found by its code.
    Promotion,
    /// The configuration of the customer portal. Found by our mark in its metadata; if
    /// none has the mark, it is the account's default configuration.
    Portal,
    /// A webhook endpoint. Found by its URL.
    Webhook,
    /// The tax settings. Each account has exactly one.
    Tax,
}

/// How objects of one kind are compared and written.
#[derive(Debug)]
pub struct KindTraits {
    /// The name in text output and in `--json`.
    pub name: &'static str,
    /// The path below `/v1`.
    pub path: &'static str,
    /// Fields that Stripe never changes after creation.
    pub immutable: &'static [&'static str],
    /// Fields that Stripe takes only in an update, not at creation.
    pub update_only: &'static [&'static str],
    /// Inner objects that are always sent complete, because Stripe replaces them as a whole.
    pub sent_whole: &'static [&'static str],
    /// The field and value that deactivate an object; `None` if Stripe cannot deactivate it.
    pub archived_by: Option<(&'static str, bool)>,
    /// Advice for a difference in an immutable field. `LOOKUP_KEY` stands for the object's key.
    pub advice: &'static str,
}

const NONE: KindTraits = KindTraits {
    name: "",
    path: "",
    immutable: &[],
    update_only: &[],
    sent_whole: &[],
    archived_by: None,
    advice: "",
};

const PRODUCT: KindTraits = KindTraits {
    name: "product",
    path: "/products",
    archived_by: Some(("active", false)),
    ..NONE
};

const PRICE: KindTraits = KindTraits {
    name: "price",
    path: "/prices",
    immutable: &[
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
    archived_by: Some(("active", false)),
    advice: "write Stripe's value into the catalog, or run `provision apply --replace LOOKUP_KEY`: it creates a new price, \
             moves the lookup key to it and archives this price; subscriptions on this price keep it",
    ..NONE
};

const DEFAULT_PRICE: KindTraits = KindTraits {
    name: "default_price",
    path: "/products",
    ..NONE
};

const COUPON: KindTraits = KindTraits {
    name: "coupon",
    path: "/coupons",
    immutable: &[
        "amount_off",
        "currency",
        "percent_off",
        "duration",
        "duration_in_months",
        "max_redemptions",
        "redeem_by",
        "applies_to[products]",
    ],
    advice: "write Stripe's value into the catalog, or give the coupon another id and its promotion codes other codes",
    ..NONE
};

const PROMOTION: KindTraits = KindTraits {
    name: "promotion_code",
    path: "/promotion_codes",
    immutable: &[
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
    archived_by: Some(("active", false)),
    advice: "write Stripe's value into the catalog, or deactivate the code in the Dashboard and run apply again: it \
             creates a new code",
    ..NONE
};

const PORTAL: KindTraits = KindTraits {
    name: "portal_configuration",
    path: "/billing_portal/configurations",
    update_only: &["active"],
    ..NONE
};

const WEBHOOK: KindTraits = KindTraits {
    name: "webhook_endpoint",
    path: "/webhook_endpoints",
    immutable: &["api_version"],
    update_only: &["disabled"],
    archived_by: Some(("disabled", true)),
    advice: "write Stripe's value into the catalog, or give the endpoint another URL (a query such as ?v=2 is enough): \
             apply creates a second endpoint, with a secret of its own for STRIPE_WEBHOOK_SECRET",
    ..NONE
};

const TAX: KindTraits = KindTraits {
    name: "tax_settings",
    path: "/tax/settings",
    sent_whole: &["head_office"],
    ..NONE
};

impl ObjectKind {
    /// All kinds, in the order of writing.
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

    /// How objects of this kind are compared and written.
    #[must_use]
    pub fn traits(self) -> &'static KindTraits {
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

    /// Whether Stripe refuses a change of this field; `actual` is Stripe's value. A price's
    /// `tax_behavior` can be set once (Stripe's API reference, "Update a price").
    #[must_use]
    pub fn is_immutable(self, path: &str, actual: &Value) -> bool {
        let settable = self == Self::Price && path == "tax_behavior" && *actual == json!("unspecified");
        self.traits().immutable.contains(&path) && !settable
    }

    /// Whether this field holds ids of prices. The catalog writes lookup keys there.
    #[must_use]
    pub fn names_prices(self, path: &str) -> bool {
        match self {
            Self::DefaultPrice => path == "default_price",
            Self::Portal => path == "features[subscription_update][products]",
            _ => false,
        }
    }
}
