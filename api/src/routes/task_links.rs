//! Identity links of a task: who has it, owns it, may take it; and the key of its form.

use axum::extract::Path;
use serde_json::{Value, json};
use shared::process::instance::Task;
use shared::runner::command::TaskChange;

use super::task::{find, form_of};
use super::task_command::{change, known};
use crate::error::{Answer, ApiError, ok};
use crate::extract::{Ask, Json};
use crate::input::Input;

pub(super) async fn list(ask: Ask, Path(id): Path<String>) -> Answer {
    let Some((_, task)) = find(&ask, &id).await? else { return ok(json!([])) };
    let user = |who: &String, of: &str| json!({"userId": who, "groupId": null, "type": of});
    let mut links: Vec<Value> = task.assignee.iter().map(|a| user(a, "assignee")).collect();
    links.extend(task.owner.iter().map(|o| user(o, "owner")));
    links.extend(task.candidate_users.iter().map(|u| user(u, "candidate")));
    links.extend(task.candidate_groups.iter().map(|g| json!({"userId": null, "groupId": g, "type": "candidate"})));
    ok(links.into())
}

/// A link as a body names it.
struct Link {
    user: Option<String>,
    group: Option<String>,
    of: String,
}

fn read(input: &Input<'_>) -> Result<Link, ApiError> {
    let (user, group) = (input.text("userId")?, input.text("groupId")?);
    match (&user, &group) {
        (Some(_), Some(_)) => return Err(ApiError::invalid("Identity Link requires userId or groupId, but not both.")),
        (None, None) => return Err(ApiError::invalid("Identity Link requires userId or groupId.")),
        _ => {}
    }
    Ok(Link { user, group, of: input.text("type")?.unwrap_or_else(|| "candidate".to_owned()) })
}

pub(super) async fn add(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let link = read(&body.input())?;
    let (stored, task) = known(&ask, "NullValueException", &id).await?;
    let to = changed(&task, link, |all, one| {
        all.retain(|old| *old != one);
        all.push(one);
    });
    change(&ask, &stored, &id, to?).await
}

pub(super) async fn remove(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let mut link = read(&body.input())?;
    let (stored, task) = known(&ask, "NullValueException", &id).await?;
    if link.of != "candidate" {
        link.user = None;
    }
    let to = changed(&task, link, |all, one| all.retain(|old| *old != one));
    change(&ask, &stored, &id, to?).await
}

/// The assignee and the owner are set, candidates are changed by `how`.
fn changed(task: &Task, link: Link, how: impl Fn(&mut Vec<String>, String)) -> Result<TaskChange, ApiError> {
    let mut to = TaskChange::default();
    match (link.of.as_str(), link.user, link.group) {
        ("assignee", user, None) => to.assignee = Some(user),
        ("owner", user, None) => to.owner = Some(user),
        ("candidate", Some(user), _) => {
            let mut users = task.candidate_users.clone();
            how(&mut users, user);
            to.candidate_users = Some(users);
        }
        ("candidate", None, Some(group)) => {
            let mut groups = task.candidate_groups.clone();
            how(&mut groups, group);
            to.candidate_groups = Some(groups);
        }
        (of, ..) => return Err(ApiError::invalid(format!("Identity links of type '{of}' are not kept; use assignee, owner or candidate"))),
    }
    Ok(to)
}

/// The form is the model's, as it is now.
pub(super) async fn form(ask: Ask, Path(id): Path<String>) -> Answer {
    let none = || ApiError::invalid(format!("Cannot get form for task {id}"));
    let (_, task) = find(&ask, &id).await?.ok_or_else(none)?;
    let form = form_of(&ask, &task).await?;
    let reference = form.reference();
    ok(json!({"key": form.key, "camundaFormRef": reference, "operatonFormRef": reference, "contextPath": null}))
}
