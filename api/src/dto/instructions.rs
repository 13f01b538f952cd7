//! Instructions of starts and modifications (spec-batch-rest §4.4).

use serde_json::Value;
use shared::process::value::TypedValue;
use shared::runner::command::{Modification, StartInstruction, StartKind};

use super::values;
use crate::error::ApiError;
use crate::input::{Input, Object, misfit};

/// What a start may do; what only a modification may (cancelling) is left out, as the reference does.
///
/// # Errors
/// An instruction without its activity or transition.
pub fn starts(input: &Input<'_>, name: &str) -> Result<Vec<StartInstruction>, ApiError> {
    let mut starts = vec![];
    for one in input.objects(name)?.unwrap_or_default() {
        if let Modification::Start(start) = read(one, true)? {
            starts.push(start);
        }
    }
    Ok(starts)
}

/// # Errors
/// As [`starts`], and a cancelling that names not exactly one thing.
pub fn modifications(input: &Input<'_>, name: &str) -> Result<Vec<Modification>, ApiError> {
    input.objects(name)?.unwrap_or_default().into_iter().map(|one| read(one, false)).collect()
}

fn read(object: &Object, starting: bool) -> Result<Modification, ApiError> {
    let input = Input::body(object);
    let kind = input.text("type")?.unwrap_or_default();
    let needs = |what: &str| ApiError::invalid(format!("For instruction type '{kind}': '{what}' must be set"));
    let (start, name) = match kind.as_str() {
        "cancel" => return cancel(&input, starting),
        "startBeforeActivity" => (StartKind::BeforeActivity, "activityId"),
        "startAfterActivity" => (StartKind::AfterActivity, "activityId"),
        "startTransition" => (StartKind::Transition, "transitionId"),
        _ => return Err(misfit("type", &Value::String(kind), "cancel, startBeforeActivity, startAfterActivity or startTransition")),
    };
    Ok(Modification::Start(StartInstruction {
        kind: start,
        target: input.text(name)?.ok_or_else(|| needs(name))?,
        ancestor_activity_instance: input.text("ancestorActivityInstanceId")?,
        variables: variables(&input)?,
    }))
}

fn cancel(input: &Input<'_>, starting: bool) -> Result<Modification, ApiError> {
    let (activity, instance, transition) =
        (input.text("activityId")?, input.text("activityInstanceId")?, input.text("transitionInstanceId")?);
    match (activity, instance, transition) {
        (Some(activity_id), None, None) => Ok(Modification::CancelAll { activity_id }),
        (None, Some(id), None) => Ok(Modification::CancelActivityInstance(id)),
        (None, None, Some(id)) => Ok(Modification::CancelTransitionInstance(id)),
        _ if starting => Ok(Modification::CancelAll { activity_id: String::new() }),
        _ => {
            let what = "exactly one, 'activityId', 'activityInstanceId', or 'transitionInstanceId', is required";
            Err(ApiError::invalid(format!("For instruction type 'cancel': {what}")))
        }
    }
}

/// (name, value, local?)
fn variables(input: &Input<'_>) -> Result<Vec<(String, TypedValue, bool)>, ApiError> {
    let Some(given) = input.object("variables")? else { return Ok(vec![]) };
    let read = values::read_map(input, "variables")?.unwrap_or_default();
    let local = |name: &str| match given.get(name).and_then(Value::as_object) {
        Some(object) => Input::body(object).yes("local"),
        None => Ok(false),
    };
    read.into_iter().map(|(name, value)| local(&name).map(|local| (name, value, local))).collect()
}
