//! The rows derived from a document (design §4): `waiting` and `variable_index`, written as differences.
//!
//! What they are are pure functions of the document; nothing else writes these tables, save for start events.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use super::{Column, Columns, Tx};
use crate::process::derived::{self, IndexedVariable, Waiting};
use crate::process::instance::Instance;
use crate::store::Error;

/// All derived rows of one document.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Derived {
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) variables: Vec<IndexedVariable>,
}

impl Derived {
    pub(crate) fn of(instance: &Instance) -> Self {
        Self { waiting: derived::waiting(instance), variables: derived::variable_index(instance) }
    }
}

/// What is to be removed from and added to the tables, over many instances.
#[derive(Default)]
pub(crate) struct Differences {
    waiting_gone: Vec<(String, String)>,
    waiting_new: Vec<(String, Option<String>, Waiting)>,
    variables_gone: Vec<(String, String)>,
    variables_new: Vec<(String, IndexedVariable)>,
}

impl Differences {
    pub(crate) fn add(&mut self, owner: &str, tenant: Option<&str>, before: &Derived, after: &Derived) {
        let (gone, new) = difference(&before.waiting, &after.waiting, |w| &w.element_id);
        self.waiting_gone.extend(gone.into_iter().map(|w| (owner.to_owned(), w.element_id.clone())));
        self.waiting_new.extend(new.into_iter().map(|w| (owner.to_owned(), tenant.map(str::to_owned), w.clone())));
        let (gone, new) = difference(&before.variables, &after.variables, |v| &v.id);
        self.variables_gone.extend(gone.into_iter().map(|v| (owner.to_owned(), v.id.clone())));
        self.variables_new.extend(new.into_iter().map(|v| (owner.to_owned(), v.clone())));
    }

    pub(crate) fn append(&mut self, more: Self) {
        self.waiting_gone.extend(more.waiting_gone);
        self.waiting_new.extend(more.waiting_new);
        self.variables_gone.extend(more.variables_gone);
        self.variables_new.extend(more.variables_new);
    }

    pub(crate) async fn write(self, tx: &mut Tx) -> Result<(), Error> {
        remove(tx, "waiting", "owner", "element", &self.waiting_gone).await?;
        remove(tx, "variable_index", "instance", "variable", &self.variables_gone).await?;
        tx.insert("waiting", waiting_columns(&self.waiting_new), "").await?;
        tx.insert("variable_index", variable_columns(&self.variables_new), "").await?;
        Ok(())
    }
}

pub(crate) fn waiting_columns(rows: &[(String, Option<String>, Waiting)]) -> Columns {
    Columns(vec![
        ("owner", Column::texts(rows.iter().map(|(owner, _, _)| owner.clone()))),
        ("element", Column::texts(rows.iter().map(|(_, _, w)| w.element_id.clone()))),
        ("kind", Column::texts(rows.iter().map(|(_, _, w)| w.kind.as_str()))),
        ("name", Column::texts(rows.iter().map(|(_, _, w)| w.name.clone()))),
        ("activity_id", Column::texts(rows.iter().map(|(_, _, w)| w.activity_id.clone()))),
        ("tenant_id", Column::optional_texts(rows.iter().map(|(_, tenant, _)| tenant.clone()))),
        ("priority", Column::ints(rows.iter().map(|(_, _, w)| w.priority))),
        ("available_at", Column::optional_ints(rows.iter().map(|(_, _, w)| w.available_at))),
    ])
}

fn variable_columns(rows: &[(String, IndexedVariable)]) -> Columns {
    Columns(vec![
        ("instance", Column::texts(rows.iter().map(|(instance, _)| instance.clone()))),
        ("variable", Column::texts(rows.iter().map(|(_, v)| v.id.clone()))),
        ("name", Column::texts(rows.iter().map(|(_, v)| v.name.clone()))),
        ("type", Column::texts(rows.iter().map(|(_, v)| v.kind.clone()))),
        ("text", Column::optional_texts(rows.iter().map(|(_, v)| v.text.clone()))),
        ("number", Column::optional_floats(rows.iter().map(|(_, v)| v.number))),
    ])
}

/// Rows of `before` that go, and rows of `after` that come: a changed one is both.
fn difference<'a, R: PartialEq, K: Eq + Hash + ?Sized + 'a>(
    before: &'a [R],
    after: &'a [R],
    key: impl Fn(&'a R) -> &'a K,
) -> (Vec<&'a R>, Vec<&'a R>) {
    if before == after {
        return (vec![], vec![]);
    }
    let old: HashMap<&K, &R> = before.iter().map(|r| (key(r), r)).collect();
    let new: Vec<&R> = after.iter().filter(|r| old.get(key(r)).is_none_or(|was| *was != *r)).collect();
    let kept: HashSet<&K> = after.iter().filter(|r| old.get(key(r)).is_some_and(|was| *was == *r)).map(&key).collect();
    (before.iter().filter(|r| !kept.contains(key(r))).collect(), new)
}

async fn remove(tx: &mut Tx, table: &str, owner: &str, element: &str, pairs: &[(String, String)]) -> Result<(), Error> {
    if pairs.is_empty() {
        return Ok(());
    }
    let columns = Columns(vec![
        ("owner", Column::texts(pairs.iter().map(|(owner, _)| owner.clone()))),
        ("element", Column::texts(pairs.iter().map(|(_, element)| element.clone()))),
    ]);
    let (gone, values) = columns.source(tx.dialect(), 1);
    let sql = format!("DELETE FROM {table} WHERE ({owner}, {element}) IN (SELECT owner, element FROM {gone} AS gone)");
    tx.execute(&sql, values).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn a_kept_element_is_no_difference() {
        let before = [("a", 1), ("b", 2), ("c", 3)];
        let after = [("b", 2), ("c", 4), ("d", 5)];
        let (gone, new) = difference(&before, &after, |(name, _)| *name);
        assert_eq!(gone, [&("a", 1), &("c", 3)]);
        assert_eq!(new, [&("c", 4), &("d", 5)]);
        assert_eq!(difference(&before, &before, |(name, _)| *name), (vec![], vec![]));
    }
}
