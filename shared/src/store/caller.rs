//! Who asks: every verb that serves a caller takes one, from the first day.

/// A user, what tenants it sees, and whether it may change anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub user: Option<String>,
    pub tenants: Tenants,
    pub read_only: bool,
}

/// What belongs to no tenant is seen by everyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tenants {
    All,
    Of(Vec<String>),
}

impl Caller {
    /// Nobody in particular, everything allowed: the default without authentication.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { user: None, tenants: Tenants::All, read_only: false }
    }

    /// Drover itself.
    #[must_use]
    pub fn system() -> Self {
        Self::anonymous()
    }

    /// May this caller see what belongs to `tenant`?
    #[must_use]
    pub fn sees(&self, tenant: Option<&str>) -> bool {
        self.tenants.see(tenant)
    }
}

impl Tenants {
    /// May one of these see what belongs to `tenant`?
    #[must_use]
    pub fn see(&self, tenant: Option<&str>) -> bool {
        match (self, tenant) {
            (Self::All, _) | (_, None) => true,
            (Self::Of(tenants), Some(tenant)) => tenants.iter().any(|t| t == tenant),
        }
    }
}
