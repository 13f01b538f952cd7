//! What a process asks of its database besides the verbs: is it there, what time is it, good-bye.

use std::sync::Arc;

use super::unclean;
use super::{Backend, SqlStore, StoreOptions, Verb, open_sql};
use crate::clock::Millis;
use crate::store::{Error, Store};

/// Opens the store that the URL names, `sqlite:…` or `postgres://…`.
///
/// # Errors
/// As [`open_sql`].
pub async fn open(url: &str, options: StoreOptions) -> Result<Arc<dyn Store>, Error> {
    Ok(Arc::new(open_sql(url, options).await?))
}

#[async_trait::async_trait]
impl Store for SqlStore {
    async fn ready(&self) -> Result<(), Error> {
        self.check_ready().await
    }

    async fn now(&self) -> Result<Millis, Error> {
        self.database_now().await
    }

    async fn close(&self) {
        self.close_all().await;
    }
}

impl SqlStore {
    pub(crate) async fn check_ready(&self) -> Result<(), Error> {
        let mut tx = self.read(Verb::named("ready")).await?;
        tx.all("SELECT id FROM batch LIMIT 1", vec![]).await?;
        tx.commit().await
    }

    pub(crate) async fn database_now(&self) -> Result<Millis, Error> {
        let mut tx = self.read(Verb::named("now")).await?;
        let now = tx.now().await?;
        tx.commit().await?;
        Ok(now)
    }

    pub(crate) async fn close_all(&self) {
        match &self.backend {
            Backend::Postgres(pool) => pool.close().await,
            Backend::Sqlite { writer, readers } => {
                readers.close().await;
                if let Err(error) = unclean::closing(writer).await {
                    tracing::warn!(
                        error = crate::service::chain(&error),
                        "no clean stop was marked; what is due now is executed with care"
                    );
                }
                writer.close().await;
            }
        }
    }
}
