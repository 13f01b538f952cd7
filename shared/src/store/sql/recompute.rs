//! The check that derived rows never lag behind their documents: all of them computed again and compared (design §4).

use std::collections::BTreeMap;

use super::derived_rows::Derived;
use super::instance_rows::{self, SELECT_INSTANCES};
use super::{Row, SqlStore, Tx, Verb};
use crate::process::derived;
use crate::store::Error;

impl SqlStore {
    /// What the tables hold and the documents do not say, or the other way round, in words; of one snapshot. For tests and
    /// small databases: everything is read at once.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn derived_differences(&self) -> Result<Vec<String>, Error> {
        let mut tx = self.read(Verb::named("derived_differences")).await?;
        let mut differences = vec![];
        let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in tx.all(&format!("{SELECT_INSTANCES} ORDER BY p.id"), vec![]).await? {
            let instance = instance_rows::read(&row)?.instance;
            let Derived { waiting, variables } = Derived::of(&instance);
            let rows = expected.entry(instance.id.clone()).or_default();
            rows.extend(waiting.iter().map(|w| {
                format!(
                    "waiting {} {} {} {} {:?} {} {:?}",
                    w.element_id,
                    w.kind.as_str(),
                    w.name,
                    w.activity_id,
                    instance.tenant_id,
                    w.priority,
                    w.available_at
                )
            }));
            rows.extend(variables.iter().map(|v| format!("variable {} {} {} {:?} {:?}", v.id, v.name, v.kind, v.text, v.number)));
            rows.extend(instance.business_key.iter().map(|key| format!("business key {key}")));
            rows.push(format!(
                "columns {} {:?} {:?}",
                instance.definition_id,
                derived::has_incident(&instance),
                derived::wake_at(&instance)
            ));
        }
        let mut stored = stored_rows(&mut tx).await?;
        for (instance, mut rows) in expected {
            let mut held = stored.remove(&instance).unwrap_or_default();
            rows.sort();
            held.sort();
            if rows != held {
                differences.push(format!("{instance}: its document says {rows:?}, the tables hold {held:?}"));
            }
        }
        differences.extend(stored.into_iter().map(|(owner, rows)| format!("{owner} has no document, yet the tables hold {rows:?}")));
        Ok(differences)
    }
}

async fn stored_rows(tx: &mut Tx) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let mut stored: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut add = |owner: String, text: String| stored.entry(owner).or_default().push(text);
    let waiting = "SELECT * FROM waiting WHERE owner NOT IN (SELECT id FROM process_definition)";
    for row in tx.all(waiting, vec![]).await? {
        add(row.text("owner")?, waiting_text(&row)?);
    }
    for row in tx.all("SELECT * FROM variable_index", vec![]).await? {
        let text = format!(
            "variable {} {} {} {:?} {:?}",
            row.text("variable")?,
            row.text("name")?,
            row.text("type")?,
            row.optional_text("text")?,
            row.optional_float("number")?
        );
        add(row.text("instance")?, text);
    }
    for row in tx.all("SELECT * FROM instance_business_key", vec![]).await? {
        add(row.text("instance")?, format!("business key {}", row.text("business_key")?));
    }
    for row in tx.all("SELECT id, definition_id, has_incident, wake_at FROM process_instance", vec![]).await? {
        let text = format!("columns {} {:?} {:?}", row.text("definition_id")?, row.bool("has_incident")?, row.optional_int("wake_at")?);
        add(row.text("id")?, text);
    }
    Ok(stored)
}

fn waiting_text(row: &Row) -> Result<String, Error> {
    Ok(format!(
        "waiting {} {} {} {} {:?} {} {:?}",
        row.text("element")?,
        row.text("kind")?,
        row.text("name")?,
        row.text("activity_id")?,
        row.optional_text("tenant_id")?,
        row.int("priority")?,
        row.optional_int("available_at")?
    ))
}
