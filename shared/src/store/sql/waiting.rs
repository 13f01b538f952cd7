//! What waits for something from outside: messages, signals, external workers.

use std::collections::HashMap;

use super::statement::Sql;
use super::working_set::WorkingSet;
use super::{SqlStore, Verb, instance_rows, may_write};
use crate::clock::Millis;
use crate::process::instance::SubscriptionKind;
use crate::runner::Command;
use crate::store::{Caller, Error};

impl SqlStore {
    /// Suspended instances hear nothing.
    pub(crate) async fn who_waits(
        &self,
        caller: &Caller,
        kind: SubscriptionKind,
        name: &str,
        limit: u32,
    ) -> Result<Vec<(String, String)>, Error> {
        let mut tx = self.read(Verb::named("waiting_for")).await?;
        let text = "SELECT w.owner, w.element FROM waiting w LEFT JOIN process_instance p ON p.id = w.owner
                    WHERE COALESCE(p.suspended, FALSE) = FALSE AND w.kind = ";
        let mut sql = Sql::new(tx.dialect(), text);
        sql.bind(kind.event_type()).with(" AND w.name = ", name).seen_by("w.tenant_id", caller);
        sql.push(" ORDER BY w.owner, w.element").with(" LIMIT ", limit);
        let rows = sql.all(&mut tx).await?;
        rows.iter().map(|row| Ok((row.text("owner")?, row.text("element")?))).collect()
    }

    /// Those that another worker is just taking are passed over. With `use_priority` the highest first.
    pub(crate) async fn take_external_tasks(
        &self,
        caller: &Caller,
        worker_id: &str,
        topics: &[(String, Millis)],
        max: u32,
        use_priority: bool,
    ) -> Result<Vec<(String, String)>, Error> {
        may_write(caller)?;
        let mut tx = self.write(Verb::named("fetch_and_lock").durable()).await?;
        let mut set = WorkingSet::new(self.surroundings(&mut tx, caller.user.clone()).await?);
        let now = set.around.now;
        let durations: HashMap<&str, Millis> = topics.iter().map(|(topic, duration)| (topic.as_str(), *duration)).collect();
        let names: Vec<String> = topics.iter().map(|(topic, _)| topic.clone()).collect();
        let text = instance_rows::select_instances!(
            ", w.element, w.name
             FROM waiting w JOIN process_instance p ON p.id = w.owner
             WHERE w.kind = 'external-task' AND NOT p.suspended AND w.available_at IS NOT NULL AND w.available_at <= "
        );
        let mut sql = Sql::new(tx.dialect(), text);
        sql.bind(now).push(" AND ").one_of("w.name", &names).seen_by("w.tenant_id", caller);
        sql.push(" ORDER BY ").when(use_priority, "w.priority DESC, ").push("w.element").with(" LIMIT ", max).push(" {skip locked}");
        let mut taken = vec![];
        for row in sql.all(&mut tx).await? {
            let stored = instance_rows::read(&row)?;
            let (instance, task, topic) = (stored.instance.id.clone(), row.text("element")?, row.text("name")?);
            if !set.members.contains_key(&instance) {
                set.admit(&mut tx, stored).await?;
            }
            let until = now.saturating_add(durations.get(topic.as_str()).copied().unwrap_or(0));
            let command = Command::LockExternalTask { id: task.clone(), worker_id: worker_id.to_owned(), until };
            set.run(&mut tx, &instance, command).await?;
            taken.push((instance, task));
        }
        if !set.write(&mut tx).await? {
            return Err(Error::OptimisticLock { verb: tx.verb() });
        }
        tx.commit().await?;
        Ok(taken)
    }
}
