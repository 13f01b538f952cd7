//! What an instance must be for a query to find it (spec-batch-rest §4.1), decided on its document.
//!
//! Pure. A query is a list of [`Criterion`]s that all must hold, and lists of which one must hold each. The store
//! turns those that columns can answer into SQL, and asks [`Criterion::holds`] about the rest, page by page.

use super::query::{InstanceQuery, Operator, TenantFilter, VariableFilter};
use crate::process::derived;
use crate::process::instance::{Incident, Instance};
use crate::process::value::TypedValue;

/// One thing that a query asks for.
#[derive(Clone, Copy, Debug)]
pub enum Criterion<'q> {
    /// Nothing has it: cases, which Drover does not know.
    Never,
    Ids(&'q [String]),
    Root(&'q str),
    Super(&'q str),
    Sub(&'q str),
    BusinessKey(&'q str),
    BusinessKeyLike(&'q str),
    DefinitionId(&'q str),
    DefinitionKey(&'q str),
    DefinitionKeyIn(&'q [String]),
    DefinitionKeyNotIn(&'q [String]),
    Deployment(&'q str),
    Suspended(bool),
    WithIncident,
    /// One incident that has all of these.
    Incident(IncidentIs<'q>),
    Tenants(&'q TenantFilter),
    DefinitionWithoutTenant,
    ActivityIn(&'q [String]),
    RootOnly,
    LeafOnly,
    Variable {
        filter: &'q VariableFilter,
        names_ignore_case: bool,
        values_ignore_case: bool,
    },
}

/// What is asked of one incident; None does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IncidentIs<'q> {
    pub id: Option<&'q str>,
    pub incident_type: Option<&'q str>,
    pub message: Option<&'q str>,
    pub message_like: Option<&'q str>,
}

/// A query in the form in which it is answered.
#[derive(Clone, Debug, Default)]
pub struct Criteria<'q> {
    pub all: Vec<Criterion<'q>>,
    /// Of each list at least one; empty lists are left out, as the reference does.
    pub any: Vec<Vec<Criterion<'q>>>,
}

/// An instance, with what its document does not say.
pub struct Subject<'a> {
    pub instance: &'a Instance,
    pub definition_key: &'a str,
    /// Of the definition's row.
    pub deployment_id: &'a str,
    pub definition_tenant: Option<&'a str>,
}

impl<'q> Criteria<'q> {
    #[must_use]
    pub fn of(query: &'q InstanceQuery) -> Self {
        let joined_outer = !query.or_queries.is_empty();
        Self {
            all: criteria(query, joined_outer, vec![incident_of(query)]),
            any: query.or_queries.iter().map(|q| criteria(q, true, apart(incident_of(q)))).filter(|list| !list.is_empty()).collect(),
        }
    }

    #[must_use]
    pub fn hold(&self, subject: &Subject<'_>) -> bool {
        self.all.iter().all(|c| c.holds(subject)) && self.any.iter().all(|list| list.iter().any(|c| c.holds(subject)))
    }
}

/// With `joined_outer` (an `orQueries` element is there) `withIncident` has no effect, as in the reference.
fn criteria<'q>(query: &'q InstanceQuery, joined_outer: bool, incidents: Vec<IncidentIs<'q>>) -> Vec<Criterion<'q>> {
    let mut list = vec![];
    let text = [
        query.root_instance.as_deref().map(Criterion::Root),
        query.super_instance.as_deref().map(Criterion::Super),
        query.sub_instance.as_deref().map(Criterion::Sub),
        query.case.as_ref().map(|_| Criterion::Never),
        query.business_key.as_deref().map(Criterion::BusinessKey),
        query.business_key_like.as_deref().map(Criterion::BusinessKeyLike),
        query.definition_id.as_deref().map(Criterion::DefinitionId),
        query.definition_key.as_deref().map(Criterion::DefinitionKey),
        query.deployment_id.as_deref().map(Criterion::Deployment),
    ];
    list.extend(query.ids.as_deref().map(Criterion::Ids));
    list.extend(text.into_iter().flatten());
    list.extend(incidents.into_iter().filter(|i| *i != IncidentIs::default()).map(Criterion::Incident));
    list.extend(filled(&query.definition_key_in).map(Criterion::DefinitionKeyIn));
    list.extend(filled(&query.definition_key_not_in).map(Criterion::DefinitionKeyNotIn));
    list.extend(filled(&query.activity_id_in).map(Criterion::ActivityIn));
    list.extend(query.suspended.map(Criterion::Suspended));
    let flags = [
        (query.with_incident && !joined_outer, Criterion::WithIncident),
        (query.tenants != TenantFilter::default(), Criterion::Tenants(&query.tenants)),
        (query.definition_without_tenant, Criterion::DefinitionWithoutTenant),
        (query.root_only, Criterion::RootOnly),
        (query.leaf_only, Criterion::LeafOnly),
    ];
    list.extend(flags.into_iter().filter(|(on, _)| *on).map(|(_, criterion)| criterion));
    list.extend(query.variables.iter().map(|filter| Criterion::Variable {
        filter,
        names_ignore_case: query.names_ignore_case,
        values_ignore_case: query.values_ignore_case,
    }));
    list
}

fn incident_of(query: &InstanceQuery) -> IncidentIs<'_> {
    IncidentIs {
        id: query.incident_id.as_deref(),
        incident_type: query.incident_type.as_deref(),
        message: query.incident_message.as_deref(),
        message_like: query.incident_message_like.as_deref(),
    }
}

/// Each of them alone: in a disjunction one is enough.
fn apart(is: IncidentIs<'_>) -> Vec<IncidentIs<'_>> {
    let none = IncidentIs::default();
    vec![
        IncidentIs { id: is.id, ..none },
        IncidentIs { incident_type: is.incident_type, ..none },
        IncidentIs { message: is.message, ..none },
        IncidentIs { message_like: is.message_like, ..none },
    ]
}

impl IncidentIs<'_> {
    fn holds(&self, incident: &Incident) -> bool {
        let message = incident.message.as_deref();
        self.id.is_none_or(|id| incident.id == id)
            && self.incident_type.is_none_or(|name| incident.incident_type == name)
            && self.message.is_none_or(|text| message == Some(text))
            && self.message_like.is_none_or(|pattern| message.is_some_and(|m| like(m, pattern)))
    }
}

fn filled(ids: &Option<Vec<String>>) -> Option<&[String]> {
    ids.as_deref().filter(|ids| !ids.is_empty())
}

impl Criterion<'_> {
    #[must_use]
    pub fn holds(&self, subject: &Subject<'_>) -> bool {
        let instance = subject.instance;
        match *self {
            Self::Never => false,
            Self::Ids(ids) => ids.contains(&instance.id),
            Self::Root(id) => instance.root_instance.as_deref().unwrap_or(&instance.id) == id,
            Self::Super(id) => instance.super_instance.as_deref() == Some(id),
            Self::Sub(id) => instance.executions.iter().any(|e| e.called_instance.as_deref() == Some(id)),
            Self::BusinessKey(key) => instance.business_key.as_deref() == Some(key),
            Self::BusinessKeyLike(pattern) => instance.business_key.as_deref().is_some_and(|key| like(key, pattern)),
            Self::DefinitionId(id) => instance.definition_id == id,
            Self::DefinitionKey(key) => subject.definition_key == key,
            Self::DefinitionKeyIn(keys) => keys.iter().any(|k| k == subject.definition_key),
            Self::DefinitionKeyNotIn(keys) => !keys.iter().any(|k| k == subject.definition_key),
            Self::Deployment(id) => subject.deployment_id == id,
            Self::Suspended(suspended) => instance.suspended == suspended,
            Self::WithIncident => !instance.incidents.is_empty(),
            Self::Incident(is) => instance.incidents.iter().any(|incident| is.holds(incident)),
            Self::Tenants(filter) => filter.matches(instance.tenant_id.as_deref()),
            Self::DefinitionWithoutTenant => subject.definition_tenant.is_none(),
            Self::ActivityIn(ids) => instance.executions.iter().filter_map(|e| e.at.as_ref()).any(|place| ids.contains(&place.activity_id)),
            Self::RootOnly => instance.super_instance.is_none(),
            Self::LeafOnly => instance.executions.iter().all(|e| e.called_instance.is_none()),
            Self::Variable { filter, names_ignore_case, values_ignore_case } => {
                // Those that the store indexes, so that SQL and this say the same.
                let indexed = derived::variable_index(instance);
                let found = indexed.iter().filter(|v| same_text(&v.name, &filter.name, names_ignore_case));
                let of_document = found.filter_map(|found| instance.variables.iter().find(|v| v.id == found.id));
                of_document.map(|v| &v.value).any(|v| value_matches(v, filter.operator, &filter.value, values_ignore_case))
            }
        }
    }
}

/// Does a variable that is there with `actual` pass? `neq` and `notLike` are the negation of `eq` and `like`: the variable
/// must exist, but may be of another type.
#[must_use]
pub fn value_matches(actual: &TypedValue, operator: Operator, wanted: &TypedValue, ignore_case: bool) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match operator {
        Operator::NotEqual => !value_matches(actual, Operator::Equal, wanted, ignore_case),
        Operator::NotLike => !value_matches(actual, Operator::Like, wanted, ignore_case),
        Operator::Like => text_of(actual).is_some_and(|text| {
            let pattern = wanted.value.as_str().map_or_else(|| wanted.value.to_string(), str::to_owned);
            if ignore_case { like(&text.to_lowercase(), &pattern.to_lowercase()) } else { like(text, &pattern) }
        }),
        Operator::Equal => compare(actual, wanted, ignore_case) == Some(Equal),
        Operator::Greater => compare(actual, wanted, ignore_case) == Some(Greater),
        Operator::GreaterOrEqual => matches!(compare(actual, wanted, ignore_case), Some(Greater | Equal)),
        Operator::Less => compare(actual, wanted, ignore_case) == Some(Less),
        Operator::LessOrEqual => matches!(compare(actual, wanted, ignore_case), Some(Less | Equal)),
    }
}

/// Numbers compare across their types, all else only within one type.
fn compare(actual: &TypedValue, wanted: &TypedValue, ignore_case: bool) -> Option<std::cmp::Ordering> {
    if let (Some(a), Some(b)) = (number_of(actual), number_of(wanted)) {
        return a.partial_cmp(&b);
    }
    if actual.kind == "Null" || actual.value.is_null() {
        return (wanted.kind == "Null" || wanted.value.is_null()).then_some(std::cmp::Ordering::Equal);
    }
    if actual.kind != wanted.kind {
        return None;
    }
    match actual.kind.as_str() {
        "String" => {
            let (a, b) = (actual.value.as_str()?, wanted.value.as_str()?);
            Some(if ignore_case { a.to_lowercase().cmp(&b.to_lowercase()) } else { a.cmp(b) })
        }
        "Boolean" => Some(actual.value.as_bool()?.cmp(&wanted.value.as_bool()?)),
        "Date" => Some(date_ms(actual.value.as_str()?)?.cmp(&date_ms(wanted.value.as_str()?)?)),
        _ => None,
    }
}

fn text_of(value: &TypedValue) -> Option<&str> {
    if value.kind == "String" { value.value.as_str() } else { None }
}

fn number_of(value: &TypedValue) -> Option<f64> {
    if matches!(value.kind.as_str(), "Integer" | "Short" | "Long" | "Double" | "Number") { value.value.as_f64() } else { None }
}

/// A date as the reference prints it (spec-batch-rest §5.3), in milliseconds since the epoch.
fn date_ms(text: &str) -> Option<i64> {
    chrono::DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z").ok().map(|time| time.timestamp_millis())
}

fn same_text(a: &str, b: &str, ignore_case: bool) -> bool {
    a == b || ignore_case && a.to_lowercase() == b.to_lowercase()
}

/// SQL's LIKE: `%` is any text, `_` one character, a backslash takes the next one as it is. Case matters.
/// Takes time in the product of the lengths, whatever the pattern.
#[must_use]
pub fn like(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let tokens = like_tokens(pattern);
    // `reached[i]`: the tokens so far match the first i characters.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for token in tokens {
        match token {
            LikeToken::Any => {
                let from = reached.iter().position(|r| *r).unwrap_or(reached.len());
                reached.iter_mut().skip(from).for_each(|r| *r = true);
            }
            LikeToken::One | LikeToken::Char(_) => {
                for i in (0..text.len()).rev() {
                    reached[i + 1] = reached[i] && (token == LikeToken::One || token == LikeToken::Char(text[i]));
                }
                reached[0] = false;
            }
        }
    }
    reached[text.len()]
}

/// The same pattern for SQLite's GLOB, which, unlike its LIKE, tells upper from lower case.
#[must_use]
pub fn glob(pattern: &str) -> String {
    let word = |token| match token {
        LikeToken::Any => "*".to_owned(),
        LikeToken::One => "?".to_owned(),
        LikeToken::Char(c @ ('*' | '?' | '[')) => format!("[{c}]"),
        LikeToken::Char(c) => c.to_string(),
    };
    like_tokens(pattern).into_iter().map(word).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LikeToken {
    Any,
    One,
    Char(char),
}

fn like_tokens(pattern: &str) -> Vec<LikeToken> {
    let mut tokens = vec![];
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '%' => LikeToken::Any,
            '_' => LikeToken::One,
            '\\' => LikeToken::Char(chars.next().unwrap_or('\\')),
            c => LikeToken::Char(c),
        });
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::instance::{Execution, Place, Variable};

    fn instance() -> Instance {
        let at = |activity: &str| Some(Place { activity_id: activity.into(), activity_instance_id: None });
        let variable = |id: &str, name: &str, execution: &str, task: Option<&str>, value| Variable {
            id: id.into(),
            name: name.into(),
            execution_id: execution.into(),
            task_id: task.map(Into::into),
            definition_id: "d".into(),
            history_definition_id: "d".into(),
            concurrent_local: false,
            created: 0,
            value,
            other: Default::default(),
        };
        Instance {
            id: "i".into(),
            definition_id: "d".into(),
            business_key: Some("order-1".into()),
            tenant_id: Some("t1".into()),
            executions: vec![
                Execution { id: "i".into(), ..Execution::default() },
                Execution { id: "e".into(), parent: Some("i".into()), at: at("A"), ..Execution::default() },
            ],
            variables: vec![
                variable("v1", "s", "i", None, TypedValue::string("Beta")),
                variable("v2", "n", "i", None, TypedValue::integer(2)),
                variable("v3", "x", "i", Some("task"), TypedValue::integer(1)),
                variable("v4", "inner", "e", None, TypedValue::integer(1)),
                variable("v5", "nothing", "i", None, TypedValue::null()),
                variable("v6", "d", "i", None, TypedValue::new("Date", "2030-01-01T00:00:00.000+0000".into())),
            ],
            incidents: vec![Incident {
                id: "inc".into(),
                incident_type: "failedJob".into(),
                message: Some("bang".into()),
                ..Incident::default()
            }],
            ..Instance::default()
        }
    }

    fn finds(query: &InstanceQuery) -> bool {
        let instance = instance();
        let subject = Subject { instance: &instance, definition_key: "k", deployment_id: "dep", definition_tenant: None };
        Criteria::of(query).hold(&subject)
    }

    fn by_variable(name: &str, operator: Operator, value: TypedValue) -> InstanceQuery {
        InstanceQuery { variables: vec![VariableFilter { name: name.into(), operator, value }], ..InstanceQuery::default() }
    }

    #[test]
    fn like_is_sqls() {
        for (text, pattern, expect) in [
            ("Beta", "%et%", true),
            ("Beta", "beta", false),
            ("Beta", "B_ta", true),
            ("B_ta", "B\\_ta", true),
            ("Beta", "B\\_ta", false),
            ("100%", "100\\%", true),
            ("", "%", true),
            ("", "_", false),
            ("a%b", "a%%b", true),
            ("ab", "a", false),
            ("back\\slash", "back\\\\slash", true),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "%a%a%a%a%a%a%a%a%a%a%a%c", false),
        ] {
            assert_eq!(like(text, pattern), expect, "{text} like {pattern}");
        }
        assert_eq!(glob("a%_*\\%[?"), "a*?[*]%[[][?]");
    }

    #[test]
    fn variables_of_the_process_scope_are_compared_by_type() {
        use Operator::{Equal, Greater, Less, Like, NotEqual};
        let text = TypedValue::string;
        for (name, operator, value, expect) in [
            ("s", Equal, text("Beta"), true),
            ("s", Equal, text("beta"), false),
            ("s", Like, text("%et%"), true),
            ("s", NotEqual, text("alpha"), true),
            ("missing", NotEqual, text("alpha"), false),
            ("nothing", NotEqual, text("alpha"), true),
            ("nothing", Equal, TypedValue::null(), true),
            ("s", Equal, TypedValue::null(), false),
            ("n", Equal, TypedValue::new("Double", 2.0.into()), true),
            ("n", Greater, TypedValue::new("Long", 1.into()), true),
            ("n", Equal, text("2"), false),
            ("x", Equal, TypedValue::integer(1), true),
            ("inner", Equal, TypedValue::integer(1), false),
            ("d", Greater, TypedValue::new("Date", "2029-12-31T22:30:00.000-0100".into()), true),
            ("d", Less, TypedValue::new("Date", "2029-12-31T22:30:00.000-0100".into()), false),
        ] {
            assert_eq!(finds(&by_variable(name, operator, value.clone())), expect, "{name} {operator:?} {value:?}");
        }
        let query = InstanceQuery { names_ignore_case: true, values_ignore_case: true, ..by_variable("S", Like, text("BE%")) };
        assert!(finds(&query));
    }

    #[test]
    fn an_or_query_is_a_disjunction_of_its_own_criteria() {
        let either =
            InstanceQuery { business_key: Some("other".into()), activity_id_in: Some(vec!["A".into()]), ..InstanceQuery::default() };
        assert!(!finds(&either));
        let with = |or: Vec<InstanceQuery>| InstanceQuery { or_queries: or, ..InstanceQuery::default() };
        assert!(finds(&with(vec![either.clone()])));
        assert!(finds(&with(vec![InstanceQuery::default()])), "an empty one asks for nothing");
        let never = InstanceQuery { business_key: Some("other".into()), ..InstanceQuery::default() };
        assert!(!finds(&with(vec![either, never])));
    }

    #[test]
    fn columns_and_incidents() {
        let q = InstanceQuery::default;
        assert!(finds(&InstanceQuery { incident_message_like: Some("b%".into()), with_incident: true, ..q() }));
        assert!(!finds(&InstanceQuery { incident_type: Some("custom".into()), ..q() }));
        assert!(!finds(&InstanceQuery { case: Some("c".into()), ..q() }));
        assert!(finds(&InstanceQuery { definition_key_not_in: Some(vec![]), root_only: true, leaf_only: true, ..q() }));
        assert!(!finds(&InstanceQuery { definition_key_not_in: Some(vec!["k".into()]), ..q() }));
        assert!(finds(&InstanceQuery { root_instance: Some("i".into()), deployment_id: Some("dep".into()), ..q() }));
        let tenants = TenantFilter { tenant_id_in: Some(vec!["t2".into()]), ..TenantFilter::default() };
        assert!(!finds(&InstanceQuery { tenants, ..q() }));
    }
}
